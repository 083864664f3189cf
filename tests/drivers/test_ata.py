"""lua/drivers/ata over a strict channel model: probing, transfers, every fault, and bugs planted on purpose."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.drivers.ata_bench import Bench, DiskError, pattern
from tests.support.ata_model import SECTOR, AtaChannel, Drive, Fault
from tests.support.machine import Machine


def bench(**options) -> Bench:
    drive = options.pop("drive", None) or Drive(4096)
    drive.fill(pattern(0, 64))
    return Bench(drive, **options)


# --- probing ---


@pytest.mark.parametrize("floating", [0xFF, 0x7F])
def test_an_empty_channel_costs_microseconds(floating):
    b = Bench(floating=floating)
    assert b.kinds() == ["absent", "absent"] and b.devices == []
    assert b.machine.slept == 0 and b.line.waits == 0
    assert b.probe_seconds < 0.002


def test_an_absent_slave_costs_no_timeout():
    b = bench()
    assert b.kinds() == ["disk", "absent"]
    assert b.machine.slept < 5 and b.probe_seconds < 0.01


def test_a_slave_without_a_master_is_found():
    drive = Drive(100)
    b = Bench(None, drive)
    assert b.kinds() == ["absent", "disk"]
    b.disk().write(99, b"x" * SECTOR)
    assert drive.contents(99, 1) == b"x" * SECTOR and b.model.violations == []


def test_a_packet_device_is_recognised_and_left_alone():
    cd = Drive(0, atapi=True)
    b = Bench(Drive(100), cd)
    assert b.kinds() == ["disk", "atapi"]
    assert [command.code for command in cd.log] == [0xEC]
    assert Bench(Drive(0, atapi=True)).kinds()[0] == "atapi"


def test_a_drive_without_lba_and_one_with_large_sectors_are_named_not_used():
    b = Bench(Drive(100, lba=False), Drive(100, logical_bytes=4096))
    assert b.kinds() == ["unsupported", "unsupported"] and b.devices == []
    assert b"cylinder" in b.channel[b"findings"][1][b"reason"]
    assert b"4096 bytes" in b.channel[b"findings"][2][b"reason"]


def test_identify_is_decoded():
    drive = Drive(1 << 33, model="Spinning Rust 9000", serial="ABC 42", physical_log2=3)
    device = Bench(drive).devices[0]
    identity = device[b"identity"]
    assert identity[b"model"] == b"Spinning Rust 9000" and identity[b"serial"] == b"ABC 42"
    assert device[b"sector_count"] == 1 << 33 and device[b"physical_sector_bytes"] == 4096
    assert identity[b"lba48"] and identity[b"flush"] and identity[b"flush_ext"] and identity[b"multiple_maximum"] == 16
    assert device[b"description"] == (b"ata0-master: Spinning Rust 9000 (ABC 42), 4096 GiB, LBA48, PIO 32-bit, "
                                      b"16 sectors a block")


@given(st.binary(min_size=512, max_size=512))
def test_identify_takes_any_512_bytes(data):
    identity = IDENTIFY.require("drivers.ata.identify")[b"decode"](data)
    assert identity[b"sector_count"] >= 0 and identity[b"logical_sector_bytes"] >= 0
    IDENTIFY.require("drivers.ata.identify")[b"objection"](identity)


IDENTIFY = bench().machine


def test_an_adapter_without_32_bits_is_used_with_16():
    b = bench(wide=False)
    assert "PIO 16-bit" in b.disk().description
    assert b.disk().read(0, 20) == pattern(0, 20)
    b.disk().write(100, pattern(100, 20))
    assert b.model.drives[0].contents(100, 20) == pattern(100, 20)


def test_a_drive_that_is_busy_while_it_spins_up_is_waited_for():
    drive = Drive(100)
    drive.status = 0x80

    def spun_up():
        drive.status = 0x50

    machine = Machine()
    model = AtaChannel(machine, drive)
    machine.at(7_000_000_000, spun_up)
    channel = machine.require("drivers.ata")[b"new"](machine.parts(
        command=machine.ports(model.command, 8), control=machine.ports(model.control, 1)))
    assert len(channel[b"devices"]) == 1


def test_a_command_that_firmware_left_unfinished_is_reset_away():
    drive = Drive(100)
    drive.status = 0x58
    drive.data = bytearray(512)
    assert Bench(drive).kinds()[0] == "disk"


# --- transfers ---


@pytest.mark.parametrize("irq", [True, False])
@pytest.mark.parametrize("multiple", [0, 1, 2, 16, 128])
@pytest.mark.parametrize("lba48", [True, False])
def test_reads_and_writes_of_any_count(irq, multiple, lba48):
    b = bench(drive=Drive(4096, multiple=multiple, lba48=lba48), irq=irq)
    disk, drive = b.disk(), b.model.drives[0]
    assert disk.read(0, 64) == pattern(0, 64)
    for lba, count in ((0, 1), (1, 2), (5, 15), (20, 16), (40, 17), (100, 255), (400, 256), (700, 257), (1000, 600)):
        data = pattern(lba, count, 7)
        assert disk.write(lba, data) is True
        assert drive.contents(lba, count) == data
        assert disk.read(lba, count) == data
    assert disk.read(4095, 1) == bytes(SECTOR) and disk.read(7, 0) == b"" and disk.write(7, b"") is True
    assert b.model.violations == [] and disk.statistics()["interrupts_lost"] == 0


def test_without_sleep_it_spins():
    b = bench(sleep=False, irq=False)
    assert b.disk().read(3, 40) == pattern(3, 40)


def test_addresses_beyond_28_bits():
    drive = Drive(1 << 40)
    b = Bench(drive)
    disk = b.disk()
    edge = 0x0FFFFFFF
    for lba in (edge - 2, edge - 1, edge, edge + 1, (1 << 40) - 1, 0x123456789A):
        disk.write(lba, pattern(lba, 1))
        assert drive.log[-1].lba == lba and drive.log[-1].wide == (lba + 1 > edge)
        assert disk.read(lba, 1) == pattern(lba, 1)
    disk.write(edge - 3, pattern(edge - 3, 8))
    assert drive.contents(edge - 3, 8) == pattern(edge - 3, 8) and b.model.violations == []


def test_beyond_the_end_is_refused_before_the_hardware_is_touched():
    b = bench()
    before = b.model.accesses
    for request in ((4096, 1), (4095, 2), (-1, 1), (0, 4097), (1 << 62, 1 << 62)):
        with pytest.raises(DiskError) as failure:
            b.disk().read(*request)
        assert failure.value.code == "range"
    with pytest.raises(DiskError) as failure:
        b.disk().write(4095, bytes(1024))
    assert failure.value.code == "range" and b.model.accesses == before


@pytest.mark.parametrize("call", [("read", 0.5, 1), ("read", 0, 1.5), ("read", b"0", 1), ("read", 0, -1),
                                  ("write", 0, b"x"), ("write", 0, 7), ("write", 0.0, bytes(512))])
def test_wrong_use_raises(call):
    b = bench()
    before = b.model.accesses
    with pytest.raises(Exception, match="must"):
        b.devices[0][call[0].encode()](*call[1:])
    assert b.model.accesses == before


def test_master_and_slave_do_not_mix():
    one, two = Drive(1000, multiple=16), Drive(2000, multiple=4)
    b = Bench(one, two)
    for i in range(20):
        b.disk(i % 2).write(i * 8, pattern(i, 8))
    for i in range(20):
        assert (one, two)[i % 2].contents(i * 8, 8) == pattern(i, 8)
        assert (two, one)[i % 2].contents(i * 8, 8) == bytes(8 * SECTOR)
    assert b.model.violations == []


def test_a_large_request_is_few_commands():
    b = bench()
    drive = b.model.drives[0]
    drive.log.clear()
    b.disk().write(0, bytes(512 * SECTOR))
    b.disk().read(0, 512)
    assert [str(command) for command in drive.log] == [
        "WRITE MULTIPLE 0+256", "WRITE MULTIPLE 256+256", "READ MULTIPLE 0+256", "READ MULTIPLE 256+256"]


# --- flush ---


def test_flush_brings_writes_to_the_medium():
    b = bench()
    drive = b.model.drives[0]
    b.disk().write(10, pattern(10, 5, 1))
    assert drive.durable(10, 5) == pattern(10, 5)
    assert b.disk().flush() is True
    assert drive.durable(10, 5) == pattern(10, 5, 1) and drive.cache == {}
    assert [command.code for command in drive.log if command.code in (0xE7, 0xEA)] == [0xEA]


def test_flush_of_a_28_bit_drive():
    b = bench(drive=Drive(1000, lba48=False))
    b.disk().write(1, pattern(1, 1, 1))
    b.disk().flush()
    assert b.model.drives[0].durable(1, 1) == pattern(1, 1, 1) and b.model.drives[0].log[-1].code == 0xE7


def test_a_cache_that_cannot_be_flushed_is_switched_off():
    b = bench(drive=Drive(1000, flush=False))
    b.disk().write(1, pattern(1, 1, 1))
    assert b.disk().flush() is True
    assert b.model.drives[0].durable(1, 1) == pattern(1, 1, 1)


def test_a_cache_that_can_neither_be_flushed_nor_switched_off_never_says_durable():
    # The model knows no such subcommand, so the drive refuses.
    other = {"drivers.ata.registers": ('{"DISABLE_WRITE_CACHE", 0x82}', '{"DISABLE_WRITE_CACHE", 0x99}')}
    b = bench(drive=Drive(1000, flush=False), planted=other)
    assert "cannot flush" in b.disk().description
    with pytest.raises(DiskError) as failure:
        b.disk().flush()
    assert failure.value.code == "unsupported"


# --- faults ---


@pytest.mark.parametrize("kind, code", [("unc", "unc"), ("idnf", "idnf"), ("icrc", "crc"), ("abrt", "abort"), ("flawed", "unc")])
@pytest.mark.parametrize("lba48", [True, False])
def test_a_read_error_names_the_sector(kind, code, lba48):
    # A drive whose MULTIPLE works, so that the refused command is the data's.
    b = bench(drive=Drive(4096, lba48=lba48))
    drive = b.model.drives[0]
    drive.faults.append(Fault(kind, lba=37, stays=True))
    with pytest.raises(DiskError) as failure:
        b.disk().read(10, 50)
    assert (failure.value.code, failure.value.lba) == (code, 37)
    assert failure.value.status & 1 and "LBA 37" in failure.value.message and "\n" not in failure.value.message
    drive.faults.clear()
    assert b.disk().read(10, 50) == pattern(10, 50)
    assert b.model.violations == []


def test_an_error_beyond_28_bits_names_the_sector():
    drive = Drive(1 << 40)
    b = Bench(drive)
    lba = 0xABCDEF0123 & (1 << 40) - 1
    drive.faults.append(Fault("unc", lba=lba))
    with pytest.raises(DiskError) as failure:
        b.disk().read(lba - 5, 10)
    assert failure.value.lba == lba
    assert b.disk().read(lba, 1) == bytes(SECTOR) and b.model.violations == []


def test_device_fault():
    b = bench()
    b.model.drives[0].faults.append(Fault("df", lba=12))
    with pytest.raises(DiskError) as failure:
        b.disk().read(12, 1)
    assert failure.value.code == "fault" and failure.value.lba == 12
    assert b.disk().read(12, 1) == pattern(12, 1)


def test_a_write_error_is_reported_and_not_repeated():
    b = bench()
    drive = b.model.drives[0]
    drive.faults.append(Fault("idnf", lba=105))
    with pytest.raises(DiskError) as failure:
        b.disk().write(100, bytes(10 * SECTOR))
    assert (failure.value.code, failure.value.lba) == ("idnf", 105)
    assert len([command for command in drive.log if command.code == 0xC5]) == 1


def test_the_error_of_the_last_block_of_a_write_is_seen():
    b = bench(drive=Drive(4096, multiple=0))
    b.model.drives[0].faults.append(Fault("df", lba=103))
    with pytest.raises(DiskError) as failure:
        b.disk().write(100, bytes(4 * SECTOR))
    assert (failure.value.code, failure.value.lba) == ("fault", 103)


@pytest.mark.parametrize("kind, code", [("abrt", "abort"), ("df", "fault"), ("stuck", "timeout"), ("vanish", "gone"),
                                        ("unplugged", "gone")])
def test_a_flush_that_fails_says_so(kind, code):
    b = bench()
    b.disk().write(1, bytes(SECTOR))
    b.model.drives[0].faults.append(Fault(kind, commands=(0xEA,)))
    with pytest.raises(DiskError) as failure:
        b.disk().flush()
    assert failure.value.code == code
    assert b.model.drives[0].cache != {}


def test_a_reset_between_write_and_flush_makes_the_flush_fail():
    drive = Drive(4096, loses_cache_in_reset=True)
    b = bench(drive=drive)
    b.disk().write(1, pattern(1, 1, 9))
    drive.faults.append(Fault("stuck", lba=20))
    assert b.disk().read(20, 1) == pattern(20, 1)      # repeated after the reset
    with pytest.raises(DiskError) as failure:
        b.disk().flush()
    assert failure.value.code == "reset"
    assert b.disk().flush() is True


def test_the_other_drive_of_the_channel_learns_of_the_reset():
    one, two = Drive(1000), Drive(1000)
    b = Bench(one, two)
    b.disk(1).write(1, bytes(SECTOR))
    one.faults.append(Fault("stuck", lba=5))
    b.disk(0).read(5, 1)
    with pytest.raises(DiskError) as failure:
        b.disk(1).flush()
    assert failure.value.code == "reset"


def test_a_stuck_drive_is_reset_and_multiple_mode_set_again():
    b = bench()
    drive = b.model.drives[0]
    drive.faults.append(Fault("stuck", lba=30))
    assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.disk().statistics()["resets"] == 1 and drive.multiple_now == 16
    assert b.model.violations == []


def test_a_drive_that_a_reset_does_not_wake_fails_fast_from_then_on():
    b = bench()
    drive = b.model.drives[0]
    drive.faults.append(Fault("stuck", lba=30, survives_reset=True))
    with pytest.raises(DiskError) as failure:
        b.disk().read(30, 1)
    assert failure.value.code == "timeout" and "did not help" in failure.value.message
    assert b.machine.seconds < 60
    before = b.machine.seconds
    for call in (lambda: b.disk().read(0, 1), lambda: b.disk().write(0, bytes(SECTOR)), lambda: b.disk().flush()):
        with pytest.raises(DiskError) as failure:
            call()
        assert failure.value.code == "gone"
    assert b.machine.seconds - before < 0.01
    drive.stuck = None
    drive.status = 0x50
    assert b.disk().read(0, 5) == pattern(0, 5)


@pytest.mark.parametrize("lba48", [True, False])
@pytest.mark.parametrize("direction", ["read", "write"])
def test_no_data_request(direction, lba48):
    b = bench(drive=Drive(4096, lba48=lba48))
    b.model.drives[0].faults.append(Fault("no_drq", stays=True))
    with pytest.raises(DiskError) as failure:
        b.disk().read(0, 3) if direction == "read" else b.disk().write(0, bytes(64 * SECTOR))
    assert failure.value.code == "protocol"
    assert b.machine.seconds < 1


@pytest.mark.parametrize("kind", ["vanish", "unplugged"])
def test_a_drive_that_vanishes(kind):
    b = bench()
    b.model.drives[0].faults.append(Fault(kind, lba=20))
    with pytest.raises(DiskError) as failure:
        b.disk().read(0, 64)
    assert failure.value.code in ("gone", "protocol")
    assert b.machine.seconds < 2
    with pytest.raises(DiskError):
        b.disk().write(0, bytes(SECTOR))
    with pytest.raises(DiskError):
        b.disk().flush()
    assert b.machine.seconds < 5


def test_a_slave_that_vanishes_leaves_the_master_working():
    one, two = Drive(1000), Drive(1000)
    one.fill(pattern(0, 10))
    b = Bench(one, two)
    two.faults.append(Fault("unplugged", lba=3))
    with pytest.raises(DiskError):
        b.disk(1).read(3, 1)
    assert b.disk(0).read(0, 10) == pattern(0, 10)
    with pytest.raises(DiskError):
        b.disk(1).flush()
    assert b.disk(0).read(0, 10) == pattern(0, 10)


def test_multiple_that_is_offered_and_refused_is_given_up():
    drive = Drive(4096)
    b = bench(drive=drive)
    drive.refused = (0xC4, 0xC5)
    for _ in range(3):
        assert b.disk().read(0, 64) == pattern(0, 64)
    b.disk().write(0, pattern(0, 64, 3))
    assert drive.contents(0, 64) == pattern(0, 64, 3)
    assert [command.code for command in drive.log].count(0xC4) == 2
    assert "WRITE MULTIPLE" not in map(str, drive.log) and b.model.violations == []


def test_an_aborted_block_names_its_sector_and_multiple_stays():
    # So QEMU reports any error of the image: ABRT at the head of the block.
    b = bench()
    drive = b.model.drives[0]
    for _ in range(3):
        drive.faults = [Fault("abrt", lba=37, stays=True, vague=True)]
        with pytest.raises(DiskError) as failure:
            b.disk().read(10, 50)
        assert (failure.value.code, failure.value.lba) == ("abort", 37)
    drive.faults = []
    drive.log.clear()
    b.disk().read(0, 64)
    assert drive.log[-1].code == 0xC4


def test_a_write_that_has_moved_data_is_not_repeated():
    b = bench()
    drive = b.model.drives[0]
    drive.faults = [Fault("abrt", lba=40)]
    with pytest.raises(DiskError):
        b.disk().write(0, bytes(64 * SECTOR))
    assert [command.code for command in drive.log].count(0xC5) == 1 and 0x30 not in [c.code for c in drive.log]


def test_lost_interrupts_cost_a_slice_and_are_counted():
    b = bench()
    b.line.lose(2)
    before = b.machine.seconds
    assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.machine.seconds - before < 0.05
    assert b.disk().statistics()["interrupts_lost"] == 2 and not b.disk().statistics()["polling"]


def test_a_dead_interrupt_line_ends_in_polling_and_comes_back():
    b = bench()
    b.line.lose(10_000)
    before = b.machine.seconds
    for _ in range(20):
        assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.disk().statistics()["polling"] and b.disk().statistics()["interrupts_lost"] == 4
    assert b.machine.seconds - before < 0.5
    b.line.lose(0)
    for _ in range(3):
        assert b.disk().read(0, 64) == pattern(0, 64)
    assert not b.disk().statistics()["polling"]


def test_waiting_gives_the_cpu_away():
    b = bench()
    waits = b.line.waits
    b.disk().read(0, 1)
    b.disk().flush()
    assert b.line.waits - waits == 2


# --- against a plain array of bytes ---

SIZE = 60
REQUEST = st.tuples(st.sampled_from(["read", "write", "flush"]), st.integers(0, 1), st.integers(0, SIZE - 1),
                    st.integers(1, 40), st.sampled_from([None] * 6 + ["unc", "idnf", "abrt", "df", "stuck", "no_drq", "flawed", "silent"]),
                    st.integers(0, SIZE - 1))


@settings(phases=[p for p in Phase if p is not Phase.explain])
@given(st.lists(REQUEST, max_size=12), st.sampled_from([0, 1, 4, 16]), st.booleans(), st.booleans(), st.booleans())
def test_sequences_equal_an_array(requests, multiple, lba48, irq, wide):
    drives = [Drive(SIZE, multiple=multiple, lba48=lba48), Drive(SIZE, multiple=16)]
    b = Bench(*drives, irq=irq, wide=wide)
    arrays = [bytearray(SIZE * SECTOR) for _ in drives]
    for number, (what, which, lba, count, fault, place) in enumerate(requests):
        count = min(count, SIZE - lba)
        drive, array, disk = drives[which], arrays[which], b.disk(which)
        drive.faults = [Fault(fault, lba=place)] if fault else []
        start, end = lba * SECTOR, (lba + count) * SECTOR
        try:
            if what == "read":
                assert disk.read(lba, count) == array[start:end]
            elif what == "write":
                data = pattern(lba, count, number)
                disk.write(lba, data)
                array[start:end] = data
            else:
                disk.flush()
                assert drive.durable(0, SIZE) == array
        except DiskError as failure:
            assert fault or failure.code == "reset", failure
            if failure.code in ("unc", "idnf", "fault", "crc"):
                assert failure.lba == place, failure
            # A failed write leaves old or new data, sector by sector: take over what is there.
            if what == "write":
                found = drive.contents(lba, count)
                for i in range(count):
                    old = array[start + i * SECTOR:start + (i + 1) * SECTOR]
                    assert found[i * SECTOR:(i + 1) * SECTOR] in (old, data[i * SECTOR:(i + 1) * SECTOR])
                array[start:end] = found
        drive.faults = []
    assert b.model.violations == []
    for drive, array in zip(drives, arrays, strict=True):
        assert drive.contents(0, SIZE) == array


# --- the model catches bugs ---

CHANNEL, PIO, DRIVE = "drivers.ata.channel", "drivers.ata.pio", "drivers.ata.drive"
BUGS = {
    "status read too early": (
        CHANNEL, "local SETTLE_NANOSECONDS <const> = 400", "local SETTLE_NANOSECONDS <const> = 0"),
    "selection not waited for": (
        CHANNEL,
        "  self:settle()\n  local status, code = wait_quiet(self, self.timeouts.select)\n",
        "  do return true end\n  local status, code\n"),
    "no wait for DRQ": (
        CHANNEL,
        "local status, code = self:wait_idle(seconds, expects_interrupt)\n  if not status then return nil, code end\n  local wanted",
        "do return 0x58 end\n  local status, code = 0, nil\n  local wanted"),
    "high bytes forgotten": (
        CHANNEL,
        "SECTOR_COUNT, count >> 8 & 0xFF, LBA_LOW, lba >> 24 & 0xFF,",
        "SECTOR_COUNT, count & 0xFF, LBA_LOW, lba & 0xFF,"),
    "28-bit commands for all addresses": (
        DRIVE,
        "return count <= ata.COUNT_28 and lba + count <= self.narrow_sectors",
        "return count <= ata.COUNT_28"),
    "flush forgotten": (DRIVE, "ok, err = flush_command(self)", "ok, err = true, nil"),
    "DEV bit forgotten": (
        CHANNEL,
        "DEVICE.obsolete | DEVICE.LBA | DEVICE.DEV}",
        "DEVICE.obsolete | DEVICE.LBA}"),
    "error bit not looked at": (
        PIO,
        "channel:failed(code, direction, drive.name, at) end\n  if status & (STATUS.ERR | STATUS.DF) ~= 0 then",
        "channel:failed(code, direction, drive.name, at) end\n  if false then"),
    "last write not checked": (PIO, "return finish_write(drive, request, block_start)", "return true"),
    "multiple not set again": (
        DRIVE, "self.multiple_stale = self.multiple_wanted > 1", "self.multiple = self.multiple_wanted"),
    "reset forgets the cache": (DRIVE, "  if self.dirty then\n    self.doubt", "  if false then\n    self.doubt"),
    "drive thought selected after a reset": (CHANNEL, "  self.selected = 0        -- a reset", "  -- a reset"),
}


def exercise(planted=None):
    """A little of everything; True if all was as it should be."""
    big, small = Drive(1 << 32, loses_cache_in_reset=True), Drive(1000)
    small.fill(pattern(0, 64))
    b = Bench(big, small, planted=planted)
    narrow = Bench(Drive(100, multiple=0), Drive(100), wide=False, planted=planted)
    if b.kinds() != ["disk", "disk"] or narrow.kinds() != ["disk", "disk"] or narrow.model.violations:
        return False
    one, two = b.disk(0), b.disk(1)
    high = 0xA5A5A5A5
    one.write(high, pattern(high, 40))
    good = one.read(high, 40) == pattern(high, 40) and two.read(0, 64) == pattern(0, 64)
    one.flush()
    good = good and big.durable(high, 40) == pattern(high, 40)
    for fault, call in ((Fault("unc", lba=7), lambda: two.read(0, 64)), (Fault("df", lba=9), lambda: two.write(0, bytes(10 * SECTOR)))):
        small.faults.append(fault)
        try:
            call()
            return False
        except DiskError as failure:
            good = good and failure.lba == fault.lba
    one.write(5, pattern(5, 1))
    big.faults.append(Fault("stuck", lba=6))
    good = good and one.read(6, 1) == bytes(SECTOR) and big.multiple_now == 16
    try:
        one.flush()
        good = False
    except DiskError as failure:
        good = good and failure.code == "reset"
    good = good and one.read(high, 40) == pattern(high, 40) and [c.code for c in big.log].count(0xC4) < 3
    return good and b.model.violations == []


def test_the_exercise_passes_without_a_bug():
    assert exercise()


@pytest.mark.parametrize("name", BUGS)
def test_the_model_catches(name):
    module, text, other = BUGS[name]
    try:
        caught = not exercise({module: (text, other)})
    except DiskError:
        caught = True
    assert caught
