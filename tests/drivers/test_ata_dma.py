"""DMA in lua/drivers/ata over a strict model of drive and bus master: transfers, every fault, the way back to PIO."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.drivers.ata_bench import Bench, DiskError, pattern
from tests.support.ata_model import (
    BM_ACTIVE,
    DMA_READS,
    DMA_WRITES,
    READS,
    SECTOR,
    WRITES,
    Drive,
    Fault,
)

DMA_CODES = (*DMA_READS, *DMA_WRITES)


def bench(drive: Drive | None = None, **options) -> Bench:
    drive = drive or Drive(8192)
    drive.fill(pattern(0, 64))
    b = Bench(drive, dma=True, **options)
    drive.log.clear()
    b.bus_master.transfers.clear()
    return b


def codes(b: Bench) -> list[int]:
    return [command.code for command in b.model.drives[0].log]


def is_quiet(b: Bench) -> bool:
    """The engine is stopped and nobody broke a rule."""
    return b.model.violations == [] and not b.bus_master.status & BM_ACTIVE and not b.bus_master.command & 1


# --- which way the data go ---


def test_dma_is_used_where_all_offer_it():
    b = bench()
    assert b.disk().description == "ata0-master: MODEL DISK (SN 1), 4 MiB, LBA48, DMA"
    assert b.disk().statistics()["transfer"] == b"DMA"


@pytest.mark.parametrize(
    ("drive", "why"),
    [
        (Drive(8192, dma=False), ""),
        (Drive(8192, ultra=None), ""),
        (Drive(8192, refused=(0xC8,)), " (no DMA: ata0-master: read failed at LBA 0: the drive refused the command"),
    ],
    ids=["not offered", "no mode set", "refused"],
)
def test_pio_is_used_where_not(drive, why):
    b = bench(drive)
    assert f"LBA48, PIO 32-bit, 16 sectors a block{why}" in b.disk().description
    assert b.disk().read(0, 64) == pattern(0, 64)
    b.disk().write(100, pattern(100, 300, 5))
    assert drive.contents(100, 300) == pattern(100, 300, 5)
    assert not set(codes(b)) & set(DMA_CODES) and is_quiet(b)


def test_a_multiword_mode_will_do():
    assert bench(Drive(8192, ultra=None, multiword=2)).disk().description.endswith("DMA")


@pytest.mark.parametrize(
    ("fault", "why"),
    [("bus", "could not reach memory"), ("still", "no answer in time"), ("short", "protocol"),
     ("garbage", "other bytes than PIO"), ("lazy", "other bytes than PIO"), ("icrc", "checksum error")],
)  # fmt: skip
def test_a_controller_that_fails_the_trial_is_not_trusted(fault, why):
    drive = Drive(8192)
    drive.fill(pattern(0, 64))
    drive.faults = [Fault(fault, lba=0, stays=True, commands=DMA_CODES)]
    b = Bench(drive, dma=True)
    drive.faults = []
    assert "PIO" in b.disk().description and why in b.disk().description
    assert b.machine.seconds < 5
    assert b.disk().read(0, 64) == pattern(0, 64)
    b.disk().write(0, pattern(0, 64, 1))
    assert drive.contents(0, 64) == pattern(0, 64, 1) and is_quiet(b)


def test_a_disk_whose_first_sector_is_bad_is_used_by_pio():
    drive = Drive(8192)
    drive.faults = [Fault("unc", lba=0, stays=True)]
    b = Bench(drive, dma=True)
    assert "no DMA: ata0-master: read failed at LBA 0" in b.disk().description
    assert b.disk().read(1, 4) == bytes(4 * SECTOR)


# --- transfers ---


@pytest.mark.parametrize("irq", [True, False])
@pytest.mark.parametrize("lba48", [True, False])
def test_reads_and_writes_of_any_count(irq, lba48):
    b = bench(Drive(8192, lba48=lba48), irq=irq)
    disk, drive = b.disk(), b.model.drives[0]
    assert disk.read(0, 64) == pattern(0, 64)
    for lba, count in ((0, 1), (1, 2), (5, 15), (100, 255), (400, 256), (700, 257), (1000, 1024), (3000, 1025), (4100, 3000)):
        data = pattern(lba, count, 7)
        assert disk.write(lba, data) is True
        assert drive.contents(lba, count) == data
        assert disk.read(lba, count) == data
    assert disk.read(8191, 1) == bytes(SECTOR) and disk.read(7, 0) == b"" and disk.write(7, b"") is True
    assert set(codes(b)) <= set(DMA_CODES) and is_quiet(b)
    assert disk.statistics()["interrupts_lost"] == 0


def test_without_sleep_and_interrupt_it_spins():
    b = bench(sleep=False, irq=False)
    assert b.disk().read(3, 40) == pattern(3, 40) and is_quiet(b)


@pytest.mark.parametrize(
    ("lba48", "expected"),
    [(True, ["WRITE DMA EXT 0+1024", "READ DMA EXT 0+1024"]),
     (False, [f"{what} DMA {lba}+256" for what in ("WRITE", "READ") for lba in (0, 256, 512, 768)])],
)  # fmt: skip
def test_a_large_request_is_few_commands(lba48, expected):
    b = bench(Drive(8192, lba48=lba48))
    b.disk().write(0, bytes(1024 * SECTOR))
    b.disk().read(0, 1024)
    assert [str(command) for command in b.model.drives[0].log] == expected


def test_addresses_beyond_28_bits():
    drive = Drive(1 << 40)
    b = bench(drive)
    edge = 0x0FFFFFFF
    for lba in (edge - 2, edge - 1, edge, edge + 1, (1 << 40) - 1, 0x123456789A):
        b.disk().write(lba, pattern(lba, 1))
        assert drive.log[-1].lba == lba and drive.log[-1].wide == (lba + 1 > edge)
        assert b.disk().read(lba, 1) == pattern(lba, 1)
    assert is_quiet(b)


def test_master_and_slave_do_not_mix():
    one, two = Drive(1000), Drive(2000, dma=False)
    b = Bench(one, two, dma=True)
    assert b.disk(0).description.endswith("DMA") and "PIO" in b.disk(1).description
    for i in range(20):
        b.disk(i % 2).write(i * 8, pattern(i, 8))
    for i in range(20):
        assert (one, two)[i % 2].contents(i * 8, 8) == pattern(i, 8)
        assert (two, one)[i % 2].contents(i * 8, 8) == bytes(8 * SECTOR)
    assert is_quiet(b)


def test_a_write_and_a_flush_are_one_command_each():
    b = bench()
    b.disk().write(8, pattern(8, 8, 1))
    b.disk().flush()
    assert [str(command) for command in b.model.drives[0].log] == ["WRITE DMA 8+8", "FLUSH CACHE EXT 0+65536"]
    assert b.model.drives[0].durable(8, 8) == pattern(8, 8, 1)


def test_waiting_gives_the_cpu_away():
    b = bench()
    waits = b.line.waits
    b.disk().read(0, 64)
    b.disk().write(0, bytes(64 * SECTOR))
    assert b.line.waits - waits == 2 and b.machine.slept < 5


# --- faults ---


@pytest.mark.parametrize(("kind", "code"), [("unc", "unc"), ("idnf", "idnf"), ("df", "fault")])
@pytest.mark.parametrize("lba48", [True, False])
def test_an_error_of_the_medium_names_the_sector(kind, code, lba48):
    b = bench(Drive(8192, lba48=lba48))
    drive = b.model.drives[0]
    for direction in ("read", "write"):
        drive.faults = [Fault(kind, lba=37)]
        with pytest.raises(DiskError) as failure:
            b.disk().read(10, 50) if direction == "read" else b.disk().write(10, bytes(50 * SECTOR))
        expected = "media" if (direction, kind) == ("write", "unc") else code
        assert (failure.value.code, failure.value.lba) == (expected, 37)
        assert "LBA 37" in failure.value.message and "\n" not in failure.value.message
    assert len(codes(b)) == 2, "an error of the medium is not tried again"
    assert b.disk().read(60, 4) == pattern(60, 4) and is_quiet(b)
    assert b.disk().description.endswith("DMA")


def test_an_aborted_read_names_its_sector_and_dma_stays():
    # So QEMU reports any error of the image: ABRT, and the address of the command's first sector.
    b = bench()
    drive = b.model.drives[0]
    for _ in range(3):
        drive.faults = [Fault("abrt", lba=37, stays=True, vague=True)]
        with pytest.raises(DiskError) as failure:
            b.disk().read(10, 1000)
        assert (failure.value.code, failure.value.lba) == ("abort", 37)
    drive.faults = []
    drive.log.clear()
    assert b.disk().read(0, 64) == pattern(0, 64)
    assert codes(b) == [0xC8] and is_quiet(b)


ON_THE_WAY = ["bus", "still", "short", "icrc"]


@pytest.mark.parametrize("kind", ON_THE_WAY)
def test_a_read_that_did_not_get_across_is_repeated_by_pio(kind):
    b = bench()
    drive = b.model.drives[0]
    drive.faults = [Fault(kind, lba=20)]
    assert b.disk().read(0, 64) == pattern(0, 64)
    assert [code for code in codes(b) if code in DMA_CODES] == [0xC8]
    assert [code for code in codes(b) if code in READS] == [0xC4]
    assert b.disk().statistics()["dma_failures"] == 1 and is_quiet(b)
    # One that works makes good for it.
    assert b.disk().read(0, 64) == pattern(0, 64)
    drive.faults = [Fault(kind, lba=20)]
    assert b.disk().read(0, 64) == pattern(0, 64)
    drive.log.clear()
    assert b.disk().read(0, 64) == pattern(0, 64) and codes(b) == [0xC8]


@pytest.mark.parametrize("kind", ON_THE_WAY)
def test_dma_that_fails_twice_in_a_row_is_given_up(kind):
    b = bench()
    drive = b.model.drives[0]
    drive.faults = [Fault(kind, stays=True, commands=DMA_CODES)]
    for _ in range(4):
        assert b.disk().read(0, 64) == pattern(0, 64)
    assert len([code for code in codes(b) if code in DMA_CODES]) == 2
    assert b.disk().statistics()["transfer"] == b"PIO"
    b.disk().write(0, pattern(0, 700, 2))
    assert drive.contents(0, 700) == pattern(0, 700, 2) and is_quiet(b)


@pytest.mark.parametrize("kind", ON_THE_WAY)
def test_a_write_that_did_not_get_across_is_an_error_and_not_repeated(kind):
    b = bench()
    drive = b.model.drives[0]
    drive.faults = [Fault(kind, lba=20)]
    with pytest.raises(DiskError) as failure:
        b.disk().write(0, bytes(64 * SECTOR))
    assert failure.value.code == {"bus": "bus", "still": "timeout", "short": "protocol", "icrc": "crc"}[kind]
    assert len([code for code in codes(b) if code in DMA_WRITES or code in WRITES]) == 1
    assert b.disk().read(1000, 4) == bytes(4 * SECTOR) and is_quiet(b)


def test_a_write_that_ended_in_a_reset_makes_the_flush_fail():
    b = bench(Drive(8192, loses_cache_in_reset=True))
    b.disk().write(1, pattern(1, 1, 9))
    b.model.drives[0].faults = [Fault("still", lba=20)]
    with pytest.raises(DiskError):
        b.disk().write(20, pattern(20, 1))
    with pytest.raises(DiskError) as failure:
        b.disk().flush()
    assert failure.value.code == "reset"
    assert b.disk().flush() is True


def test_a_controller_that_never_moves_costs_one_timeout_and_stops():
    b = bench()
    b.model.drives[0].faults = [Fault("still")]
    before, stops = b.machine.seconds, b.bus_master.stops
    assert b.disk().read(0, 8) == pattern(0, 8)
    assert 10 <= b.machine.seconds - before < 11 and b.bus_master.stops > stops and is_quiet(b)


@pytest.mark.parametrize("kind", ["vanish", "unplugged"])
def test_a_drive_that_vanishes(kind):
    b = bench()
    b.model.drives[0].faults.append(Fault(kind, lba=20))
    with pytest.raises(DiskError) as failure:
        b.disk().read(0, 64)
    assert failure.value.code in ("gone", "protocol", "timeout")
    with pytest.raises(DiskError):
        b.disk().write(0, bytes(SECTOR))
    with pytest.raises(DiskError):
        b.disk().flush()
    assert not b.bus_master.status & BM_ACTIVE and b.machine.seconds < 15


def test_lost_interrupts_cost_a_slice_and_are_counted():
    b = bench()
    before = b.machine.seconds
    b.line.lose(2)
    for _ in range(2):
        assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.machine.seconds - before < 0.05
    assert b.disk().statistics()["interrupts_lost"] == 2 and is_quiet(b)


def test_an_interrupt_that_not_even_the_controller_saw():
    b = bench()
    b.model.drives[0].faults = [Fault("silent")]
    assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.disk().statistics()["interrupts_lost"] == 1 and is_quiet(b)


def test_a_dead_interrupt_line_ends_in_polling():
    b = bench()
    b.line.lose(10_000)
    before = b.machine.seconds
    for _ in range(20):
        assert b.disk().read(0, 64) == pattern(0, 64)
    assert b.disk().statistics()["polling"] and b.machine.seconds - before < 0.5 and is_quiet(b)


def test_a_channel_that_somebody_left_in_the_middle_of_a_command():
    """What the next life of a service that was killed finds; `reset` is how it says so."""
    drive = Drive(8192)
    drive.fill(pattern(0, 64))
    drive.status = 0x80
    b = Bench(drive, dma=True, reset=True)
    assert b.machine.seconds < 0.1
    assert b.disk().read(0, 64) == pattern(0, 64) and is_quiet(b)


# --- against a plain array of bytes ---

SIZE = 60
FAULTS = [None] * 6 + ["unc", "idnf", "abrt", "df", "stuck", "no_drq", "silent", "icrc", *ON_THE_WAY[:3]]
REQUEST = st.tuples(st.sampled_from(["read", "write", "flush"]), st.integers(0, 1), st.integers(0, SIZE - 1),
                    st.integers(1, 40), st.sampled_from(FAULTS), st.integers(0, SIZE - 1))


@settings(phases=[p for p in Phase if p is not Phase.explain])
@given(st.lists(REQUEST, max_size=12), st.booleans(), st.booleans(), st.booleans())
def test_sequences_equal_an_array(requests, lba48, irq, both):
    drives = [Drive(SIZE, lba48=lba48), Drive(SIZE, dma=both)]
    b = Bench(*drives, irq=irq, dma=True)
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
            # A failed write leaves old or new data, sector by sector: take over what is there.
            if what == "write":
                found = drive.contents(lba, count)
                for i in range(count):
                    old = array[start + i * SECTOR:start + (i + 1) * SECTOR]
                    assert found[i * SECTOR:(i + 1) * SECTOR] in (old, data[i * SECTOR:(i + 1) * SECTOR])
                array[start:end] = found
        drive.faults = []
    assert is_quiet(b)
    for drive, array in zip(drives, arrays, strict=True):
        assert drive.contents(0, SIZE) == array


# --- the model catches bugs ---

DMA, MASTER, DRIVE = ("drivers.ata." + name for name in ("dma", "bus_master", "drive"))
BUGS = {
    "no command": (DMA, "ports,\n      request.registers(position, request.operation, lba, count))", "ports)"),
    "old status bits": (MASTER, "port, 0, cleared, ...)", "...)"),
    "notes of the firmware wiped out": (MASTER, "read(port, 0) & NOTES | STATUS.INTERRUPT", "STATUS.INTERRUPT"),
    "the drive's word instead of the controller's": (
        DMA, "    if ended & OVER ~= 0 then return ended end\n    if not long then return false end\n", ""),
    "not stopped": (MASTER, "function self.stop() stop(engine) end", "function self.stop() end"),
    "the controller's error not looked at": (
        DMA,
        'if ended & MASTER.ERROR ~= 0 then return nil, channel:failed("bus", what, drive.name, request.lba) end',
        ""),
    "a short transfer taken for a whole": (
        DMA,
        'if ended & MASTER.ACTIVE ~= 0 then return nil, channel:failed("protocol", what, drive.name, request.lba) end',
        ""),
    "the drive's error not looked at": (DMA, "if status & STATUS.BSY == 0 and status & DRIVE_FAILED ~= 0 then", "if false then"),
    "direction": (DMA, '["in"] = {[false] = OPERATION.READ_DMA,', '["in"] = {[false] = OPERATION.WRITE_DMA,'),
    "no trial": (DRIVE, "if works then self.strategy", "if true then self.strategy"),
    "a trial that anything passes": (DMA, "~byte:byte() & 0xFF", "byte:byte()"),
}


def exercise(planted: dict[str, tuple[str, str]] | None = None) -> bool:
    """A little of everything; True if all was as it should be."""
    drive, lazy = Drive(1 << 32), Drive(4096)
    for each in (drive, lazy):
        each.fill(pattern(0, 64))
    lazy.faults = [Fault("lazy")]
    b = Bench(drive, dma=True, planted=planted, timeouts={"command": 0.5})
    polled = Bench(Drive(4096), dma=True, irq=False, planted=planted, timeouts={"command": 0.5, "trial": 0.5})
    if not all(each.disk().description.endswith("DMA") for each in (b, polled)):
        return False
    if "PIO" not in Bench(lazy, dma=True, planted=planted).disk().description:
        return False
    one = b.disk()
    high = 0xA5A5A5A5
    one.write(high, pattern(high, 300))
    good = one.read(high, 300) == pattern(high, 300) and one.read(0, 64) == pattern(0, 64)
    polled.disk().write(7, pattern(7, 300))
    good = good and polled.disk().read(7, 300) == pattern(7, 300) and polled.machine.seconds < 1
    for kind, code in (("bus", "bus"), ("short", "protocol"), ("unc", "media")):
        drive.faults = [Fault(kind, lba=9)]
        try:
            one.write(0, bytes(20 * SECTOR))
            good = False
        except DiskError as failure:
            good = good and failure.code == code
        one.read(100, 1)
    return good and all(is_quiet(each) for each in (b, polled))


def test_the_exercise_passes_without_a_bug():
    assert exercise()


@pytest.mark.parametrize("name", BUGS)
def test_the_model_catches(name):
    module, text, other = BUGS[name]
    try:
        caught = not exercise({module: (text, other)})
    except (DiskError, AssertionError):
        caught = True
    assert caught
