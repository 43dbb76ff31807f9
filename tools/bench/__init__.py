"""What `make bench` measures: ratios against a ceiling that is measured in the same run."""
