"""The commands of khoros-disk, one a file; each defines `command` and is imported when it is run."""
