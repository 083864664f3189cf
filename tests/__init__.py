"""The tests: the folders mirror the source tree; `support` holds what several of them need."""
