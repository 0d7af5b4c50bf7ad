"""Every parser of bytes that come from outside, one by one, against bytes that nobody sent yet."""
