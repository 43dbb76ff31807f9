"""`make demo`: a recorded day from the meters to the paid report, on one machine."""
