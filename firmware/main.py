"""The board's `/main.py`: starts the program of this start, wherever it is; never updated by air."""

from wattboot import start

told = start.begin()
del start
try:
    from wattboard.main import main

    main(told)
except BaseException as error:
    if isinstance(error, SystemExit):
        raise
    from wattboot import rare

    rare.ended(error, told)
