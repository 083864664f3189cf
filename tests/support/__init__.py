"""What several tests need: the booted guest, a fake QEMU, devices that fail and remember."""
