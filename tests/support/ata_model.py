"""An ATA channel with two drives, strict about the protocol (ATA/ATAPI-6).

Faithful where drivers go wrong:
- For 400 ns after a command, a data block or a change of DEV, Status shows what it showed before.
- A command takes time: BSY is set, an event ends it. Registers that are written while BSY or DRQ is set are ignored, and
  the violation is noted: `channel.violations` must be empty at the end of a test.
- Address registers are two bytes deep (HOB); 28-bit commands look at one byte, 48-bit ones at both.
- The data port gives data only while DRQ is set, and ends the block by itself.
- Written sectors are in the drive's cache until FLUSH CACHE; `media` is what a power cut leaves.
- READ/WRITE MULTIPLE is refused until SET MULTIPLE MODE; a software reset undoes it.
- A missing drive 1 beside a drive 0 shows a status of 0; without drive 0 the bus floats.
- A 32-bit access to an adapter without 32 bits becomes two of 16 bits, to ports 0 and 2.
- A bus master moves nothing before it was started and the drive has its command. What it has moved is in memory only when
  its Interrupt bit is set, a moment after the drive is idle.

`Drive.faults` holds `Fault`s; each is used up as it strikes, unless it stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.machine import Interrupt, Machine

SECTOR = 512
SETTLE_NS = 400
COMMAND_NS = 60_000
BLOCK_NS = 20_000
FLUSH_NS = 5_000_000
RESET_NS = 1_500_000
DMA_SECTOR_NS = 1_000
DMA_LATE_NS = 3_000

BSY, DRDY, DF, DSC, DRQ, ERR = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01
ICRC, UNC, IDNF, ABRT = 0x80, 0x40, 0x10, 0x04
SRST, NIEN, HOB = 0x04, 0x02, 0x80

READS = {0x20: (False, False), 0x24: (True, False), 0xC4: (False, True), 0x29: (True, True)}
WRITES = {0x30: (False, False), 0x34: (True, False), 0xC5: (False, True), 0x39: (True, True)}
DMA_READS = {0xC8: False, 0x25: True}
DMA_WRITES = {0xCA: False, 0x35: True}
NAMES = {
    0xC8: "READ DMA", 0x25: "READ DMA EXT", 0xCA: "WRITE DMA", 0x35: "WRITE DMA EXT",
    0x20: "READ SECTORS", 0x24: "READ SECTORS EXT", 0xC4: "READ MULTIPLE", 0x29: "READ MULTIPLE EXT",
    0x30: "WRITE SECTORS", 0x34: "WRITE SECTORS EXT", 0xC5: "WRITE MULTIPLE", 0x39: "WRITE MULTIPLE EXT",
    0xC6: "SET MULTIPLE MODE", 0xE7: "FLUSH CACHE", 0xEA: "FLUSH CACHE EXT", 0xEC: "IDENTIFY DEVICE", 0xEF: "SET FEATURES",
}


@dataclass
class Fault:
    """kind: unc, idnf, abrt, icrc, df (an error at `lba`, or at once without one), stuck (BSY for ever), no_drq, vanish
    (the bus floats), unplugged (status 0), flawed (error with DRQ), silent (no interrupt). Of DMA: bus (the controller's
    Error), short (the drive ends before all is moved), still (nothing is ever moved), lazy (nothing is moved, and
    all say that it was), garbage (other bytes get there)."""

    kind: str
    lba: int | None = None
    commands: tuple[int, ...] = ()      # which commands; () is all reads, writes and flushes
    stays: bool = False
    survives_reset: bool = False
    after: int = 0                      # how many matching commands pass before it strikes
    vague: bool = False                 # the address registers name the first sector of the block


ERROR_BITS = {"unc": UNC, "idnf": IDNF, "abrt": ABRT, "icrc": ICRC | ABRT, "df": 0, "flawed": UNC}


@dataclass
class Command:
    code: int
    lba: int
    count: int
    wide: bool = False

    def __str__(self) -> str:
        return f"{NAMES.get(self.code, hex(self.code))} {self.lba}+{self.count}"


@dataclass
class Drive:
    """One drive. `contents` is what can be read; `media` what a power cut leaves."""

    sectors: int
    lba48: bool = True
    multiple: int = 16
    flush: bool = True
    write_cache: bool = True
    atapi: bool = False
    dma: bool = True                    # offered
    multiword: int | None = None        # the mode that is selected
    ultra: int | None = 5
    lba: bool = True
    model: str = "MODEL DISK"
    serial: str = "SN 1"
    logical_bytes: int = 512
    physical_log2: int = 0
    loses_cache_in_reset: bool = False
    refused: tuple[int, ...] = ()       # commands that the drive does not know, whatever it says
    media: dict[int, bytes] = field(default_factory=dict)
    cache: dict[int, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    log: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registers = {name: [0, 0] for name in ("features", "sector_count", "lba_low", "lba_mid", "lba_high")}
        self.status = 0 if self.atapi else DRDY | DSC
        self.error = 0
        self.multiple_now = 0
        self.intrq = False
        self.gone: int | None = None    # status of a drive that has left
        self.stuck: Fault | None = None
        self.data = bytearray()
        self.position = 0
        self.block_done: Callable[[], None] | None = None
        self.generation = 0             # a reset makes events of older commands void
        self.device = 0
        self.dma_command: Command | None = None     # waits for the bus master

    def sector(self, lba: int) -> bytes:
        return self.cache.get(lba) or self.media.get(lba) or bytes(SECTOR)

    def contents(self, lba: int, count: int) -> bytes:
        return b"".join(self.sector(lba + i) for i in range(count))

    def fill(self, data: bytes, lba: int = 0) -> None:
        for i in range(len(data) // SECTOR):
            self.media[lba + i] = bytes(data[i * SECTOR:(i + 1) * SECTOR])

    def durable(self, lba: int, count: int) -> bytes:
        return b"".join(self.media.get(lba + i) or bytes(SECTOR) for i in range(count))

    def set_signature(self) -> None:
        low, high = (0x14, 0xEB) if self.atapi else (0, 0)
        for name, value in (("sector_count", 1), ("lba_low", 1), ("lba_mid", low), ("lba_high", high)):
            self.registers[name] = [value, 0]

    def identify(self) -> bytes:
        words = [0] * 256

        def text(first: int, count: int, value: str) -> None:
            padded = value.ljust(count * 2).encode()
            for i in range(count):
                words[first + i] = padded[2 * i] << 8 | padded[2 * i + 1]

        words[0] = 0x0040
        text(10, 10, self.serial)
        text(23, 4, "FW 1")
        text(27, 20, self.model)
        words[47] = 0x8000 | self.multiple
        words[49] = (1 << 9 if self.lba else 0) | 1 << 8
        narrow = min(self.sectors, 0x0FFFFFFF)
        words[49] &= ~(0 if self.dma else 1 << 8)
        words[53] = 0x6
        words[63] = 0x7 | (0 if self.multiword is None else 1 << 8 + self.multiword)
        words[88] = 0x3F | (0 if self.ultra is None else 1 << 8 + self.ultra)
        words[60], words[61] = narrow & 0xFFFF, narrow >> 16
        words[82] = 1 << 5 if self.write_cache else 0
        words[83] = 1 << 14 | (1 << 10 if self.lba48 else 0)
        if self.flush:
            words[83] |= 1 << 12 | (1 << 13 if self.lba48 else 0)
        words[84] = 1 << 14
        words[85] = 1 << 5 if self.write_cache else 0
        words[87] = 1 << 14
        if self.lba48:
            for i in range(4):
                words[100 + i] = self.sectors >> 16 * i & 0xFFFF
        if self.physical_log2 or self.logical_bytes != 512:
            words[106] = 1 << 14 | (1 << 13 | self.physical_log2 if self.physical_log2 else 0)
            if self.logical_bytes != 512:
                words[106] |= 1 << 12
                words[117] = self.logical_bytes // 2
        return b"".join(word.to_bytes(2, "little") for word in words)


OFFSETS = {1: "features", 2: "sector_count", 3: "lba_low", 4: "lba_mid", 5: "lba_high"}


class AtaChannel:
    """The channel. `command` and `control` are the two devices behind its port ranges."""

    def __init__(self, machine: Machine, master: Drive | None = None, slave: Drive | None = None,
                 irq: Interrupt | None = None, wide: bool = True, floating: int = 0xFF,
                 bus_master: BusMaster | None = None) -> None:
        self.machine, self.irq, self.wide, self.floating = machine, irq, wide, floating
        self.drives = [master, slave]
        self.selected = 0
        self.control_value = 0
        self.stale_until = 0
        self.stale_status = 0
        self.violations: list[str] = []
        self.accesses = 0
        self.bus_master = bus_master
        if bus_master:
            bus_master.channel = self
        self.command = CommandBlock(self)
        self.control = ControlBlock(self)

    # --- what the bus shows ---

    @property
    def drive(self) -> Drive | None:
        return self.drives[self.selected]

    def true_status(self) -> int:
        drive = self.drive
        if drive is None:
            return 0 if self.selected == 1 and self.drives[0] and self.drives[0].gone is None else self.floating
        return drive.status if drive.gone is None else drive.gone

    def status(self) -> int:
        if self.machine.now < self.stale_until:
            return self.stale_status
        return self.true_status()

    def settle(self) -> None:
        """From now on for 400 ns the status that is shown is the one of now."""
        self.stale_status = self.status()
        self.stale_until = self.machine.now + SETTLE_NS

    def violation(self, text: str) -> None:
        self.violations.append(f"{self.machine.now} ns: {text}")

    def interrupt(self, drive: Drive) -> None:
        drive.intrq = True
        for fault in drive.faults:
            if fault.kind == "silent":
                if not fault.stays:
                    drive.faults.remove(fault)
                return
        if not self.control_value & NIEN and self.drive is drive:
            if self.bus_master:
                self.bus_master.interrupted()
            if self.irq:
                self.irq.fire()

    # --- registers ---

    def write_register(self, offset: int, value: int) -> None:
        drive = self.drive
        if drive and drive.gone is None and drive.status & (BSY | DRQ):
            self.violation(f"register {offset} written while status is {drive.status:#x}")
            return
        if drive and self.machine.now < self.stale_until:
            self.violation(f"register {offset} written within 400 ns of a selection")
        for each in self.drives:
            if each and each.gone is None and not each.status & BSY:
                register = each.registers[OFFSETS[offset]]
                register[0], register[1] = value, register[0]

    def select(self, value: int) -> None:
        drive = self.drive
        if drive and drive.gone is None and drive.status & (BSY | DRQ):
            self.violation(f"Device written while status is {drive.status:#x}")
        position = value >> 4 & 1
        if position != self.selected:
            self.settle()
            self.selected = position
        for each in self.drives:
            if each:
                each.device = value

    def read_register(self, offset: int) -> int:
        drive = self.drive or (self.drives[0] if self.selected == 1 else None)
        if drive is None or drive.gone is not None:
            return self.floating if drive is None or drive.gone == 0xFF else 0
        if drive.status & BSY:
            return drive.status
        if offset == 1:
            return drive.error
        if offset == 6:
            return drive.device
        return drive.registers[OFFSETS[offset]][1 if self.control_value & HOB else 0]

    # --- commands ---

    def start(self, code: int) -> None:
        drive = self.drive
        if drive is None or drive.gone is not None:
            return
        if drive.status & (BSY | DRQ):
            self.violation(f"command {code:#x} while status is {drive.status:#x}")
            return
        if self.machine.now < self.stale_until:
            self.violation(f"command {code:#x} within 400 ns of a selection")
        if self.bus_master and self.bus_master.command & START:
            self.violation(f"command {code:#x} while the bus master runs")
        wide = code in (0x24, 0x29, 0x34, 0x39, 0xEA, 0x25, 0x35)
        command = Command(code, *self._address(drive, wide), wide)
        drive.log.append(command)
        self.settle()
        drive.status, drive.error, drive.intrq = BSY | DRDY | DSC, 0, False
        if drive.atapi:
            return self._after(drive, COMMAND_NS, lambda: self._refuse_packet(drive))
        run = self._command(code)
        self._after(drive, COMMAND_NS, lambda: run(drive, command))

    @staticmethod
    def _address(drive: Drive, wide: bool) -> tuple[int, int]:
        r = drive.registers
        if wide:
            low = r["lba_low"][0] | r["lba_mid"][0] << 8 | r["lba_high"][0] << 16
            high = r["lba_low"][1] | r["lba_mid"][1] << 8 | r["lba_high"][1] << 16
            return high << 24 | low, (r["sector_count"][1] << 8 | r["sector_count"][0]) or 65536
        lba = r["lba_low"][0] | r["lba_mid"][0] << 8 | r["lba_high"][0] << 16 | (drive.device & 0xF) << 24
        return lba, r["sector_count"][0] or 256

    def _command(self, code: int) -> Callable[[Drive, Command], None]:
        if self.drive and code in self.drive.refused:
            return self._refuse
        if code in READS:
            return self._read
        if code in WRITES:
            return self._write
        if code in DMA_READS or code in DMA_WRITES:
            return self._dma
        return {0xEC: self._identify, 0xC6: self._set_multiple, 0xE7: self._flush, 0xEA: self._flush,
                0xEF: self._set_features}.get(code, self._refuse)

    def _after(self, drive: Drive, delay: int, action: Callable[[], None]) -> None:
        generation = drive.generation

        def due() -> None:
            if drive.generation == generation and drive.gone is None:
                action()

        self.machine.at(delay, due)

    def _finish(self, drive: Drive, error: int = 0, status: int = 0) -> None:
        drive.error = error
        drive.status = DRDY | DSC | status | (ERR if error else 0)
        self.interrupt(drive)

    def _refuse(self, drive: Drive, _command: Command) -> None:
        self._finish(drive, ABRT)

    def _refuse_packet(self, drive: Drive) -> None:
        drive.set_signature()
        drive.error, drive.status = ABRT, DSC | ERR
        self.interrupt(drive)

    def _report_lba(self, drive: Drive, command: Command, lba: int) -> None:
        r = drive.registers
        for name, shift in (("lba_low", 0), ("lba_mid", 8), ("lba_high", 16)):
            r[name] = [lba >> shift & 0xFF, lba >> shift + 24 & 0xFF if command.wide else 0]
        if not command.wide:
            drive.device = drive.device & 0xF0 | lba >> 24 & 0xF

    def _strike(self, drive: Drive, command: Command, first: int, last: int, asking: bool = False) -> bool:
        """Whether a fault ends the command at first…last; the earliest address goes first. `asking`: a write is about to
        ask for these sectors' data. A drive that does not ask is told here; one that took the data and then said "done"
        without keeping them would be a lie that no driver can see."""
        chosen = None
        for fault in drive.faults:
            if fault.kind == "silent" or (fault.commands and command.code not in fault.commands):
                continue
            # A flush that says "done" without doing it is such a lie, too.
            if fault.kind == "no_drq" and command.code in (0xE7, 0xEA):
                continue
            if fault.kind in DMA_FAULTS and command.code not in (*DMA_READS, *DMA_WRITES):
                continue
            if command.code in WRITES and asking != (fault.kind == "no_drq"):
                continue
            if fault.lba is not None and not first <= fault.lba <= last:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if chosen is None or (fault.lba or first) < (chosen.lba or first):
                chosen = fault
        if chosen is None:
            return False
        if not chosen.stays:
            drive.faults.remove(chosen)
        self._apply(drive, command, chosen, first if chosen.lba is None or chosen.vague else chosen.lba)
        return True

    def _apply(self, drive: Drive, command: Command, fault: Fault, lba: int) -> None:
        if fault.kind == "stuck":
            drive.stuck = fault
            drive.status = BSY | DRDY | DSC
        elif fault.kind == "vanish":
            drive.gone = self.floating
        elif fault.kind == "unplugged":
            drive.gone = 0
        elif fault.kind in ("no_drq", "short"):
            self._finish(drive)
        elif fault.kind == "bus":
            assert self.bus_master
            self.bus_master.status |= BM_ERROR
        elif fault.kind == "still":
            pass
        else:
            self._report_lba(drive, command, lba)
            extra = {"df": DF, "flawed": DRQ}.get(fault.kind, 0)
            if fault.kind == "flawed":
                drive.data, drive.position, drive.block_done = bytearray(SECTOR), 0, lambda: None
            self._finish(drive, ERROR_BITS[fault.kind], extra)

    def _valid(self, drive: Drive, command: Command, several: bool) -> bool:
        if (command.wide and not drive.lba48) or (several and not drive.multiple_now):
            self._finish(drive, ABRT)
        elif command.lba + command.count > drive.sectors:
            self._report_lba(drive, command, max(command.lba, drive.sectors))
            self._finish(drive, IDNF)
        else:
            return True
        return False

    # --- data ---

    def _read(self, drive: Drive, command: Command) -> None:
        _, several = READS[command.code]
        if self._valid(drive, command, several):
            self._read_block(drive, command, 0, drive.multiple_now if several else 1)

    def _read_block(self, drive: Drive, command: Command, done: int, block: int) -> None:
        some = min(block, command.count - done)
        first = command.lba + done
        if self._strike(drive, command, first, first + some - 1):
            return
        drive.data = bytearray(drive.contents(first, some))
        self._offer(drive, lambda: self._read_next(drive, command, done + some, block))

    def _read_next(self, drive: Drive, command: Command, done: int, block: int) -> None:
        self.settle()
        if done == command.count:
            drive.status = DRDY | DSC
            return
        drive.status = BSY | DRDY | DSC
        self._after(drive, BLOCK_NS, lambda: self._read_block(drive, command, done, block))

    def _offer(self, drive: Drive, block_done: Callable[[], None], interrupt: bool = True) -> None:
        drive.position, drive.block_done = 0, block_done
        drive.status = DRDY | DSC | DRQ
        if interrupt:
            self.interrupt(drive)

    def _write(self, drive: Drive, command: Command) -> None:
        _, several = WRITES[command.code]
        if self._valid(drive, command, several):
            self._ask_block(drive, command, 0, drive.multiple_now if several else 1)

    def _ask_block(self, drive: Drive, command: Command, done: int, block: int) -> None:
        some = min(block, command.count - done)
        first = command.lba + done
        if self._strike(drive, command, first, first + some - 1, asking=True):
            return
        drive.data = bytearray(some * SECTOR)
        self._offer(drive, lambda: self._taken(drive, command, done, some, block), interrupt=done > 0)

    def _taken(self, drive: Drive, command: Command, done: int, some: int, block: int) -> None:
        self.settle()
        drive.status = BSY | DRDY | DSC
        self._after(drive, BLOCK_NS, lambda: self._store(drive, command, done, some, block))

    def _store(self, drive: Drive, command: Command, done: int, some: int, block: int) -> None:
        first = command.lba + done
        if self._strike(drive, command, first, first + some - 1):
            return
        where = drive.cache if drive.write_cache else drive.media
        for i in range(some):
            where[first + i] = bytes(drive.data[i * SECTOR:(i + 1) * SECTOR])
        if done + some == command.count:
            self._finish(drive)
        else:
            self._ask_block(drive, command, done + some, block)

    def _identify(self, drive: Drive, command: Command) -> None:
        if self._strike(drive, command, -1, -1):
            return
        drive.data = bytearray(drive.identify())
        self._offer(drive, lambda: self._read_next(drive, Command(0xEC, 0, 1), 1, 1))

    # --- DMA ---

    def _dma(self, drive: Drive, command: Command) -> None:
        if not drive.dma or self.bus_master is None:
            return self._finish(drive, ABRT)
        if self._valid(drive, command, False):
            drive.status = DRDY | DSC | DRQ
            drive.dma_command = command
            self.dma_ready()

    def dma_ready(self) -> None:
        """Drive and bus master have both been told: the data move. Called when either is."""
        drive, master = self.drive, self.bus_master
        if drive is None or master is None or drive.dma_command is None or not master.status & BM_ACTIVE:
            return
        command, drive.dma_command = drive.dma_command, None
        inward = command.code in DMA_READS
        if inward != bool(master.command & INTO_MEMORY):
            self.violation(f"{command} in the other direction")
        self._after(drive, DMA_SECTOR_NS * command.count, lambda: self._dma_moved(drive, command, inward))

    def _dma_moved(self, drive: Drive, command: Command, inward: bool) -> None:
        assert self.bus_master
        master = self.bus_master
        if not master.status & BM_ACTIVE:      # broken off: the drive waits for ever
            return
        lie = next((fault.kind for fault in drive.faults if fault.kind in ("lazy", "garbage")), None)
        if lie is None and self._strike(drive, command, command.lba, command.lba + command.count - 1):
            return
        length = command.count * SECTOR
        room = sum(region[1] for region in master.regions())
        if inward:
            data = bytes(length) if lie == "garbage" else drive.contents(command.lba, command.count)
            if lie == "lazy":
                data = b""
            drive.status = DRDY | DSC
            self._after(drive, DMA_LATE_NS, lambda: self._dma_finish(drive, length, room, data))
        else:
            data = master.collect(length)
            where = drive.cache if drive.write_cache else drive.media
            for i in range(len(data) // SECTOR):
                where[command.lba + i] = data[i * SECTOR:(i + 1) * SECTOR]
            self._dma_finish(drive, length, room)

    def _dma_finish(self, drive: Drive, length: int, room: int, data: bytes = b"") -> None:
        assert self.bus_master
        if data and self.bus_master.status & BM_ACTIVE:
            self.bus_master.scatter(data)
        if length >= room:
            self.bus_master.status &= ~BM_ACTIVE
        if length <= room:
            self._finish(drive)

    # --- non-data ---

    def _set_multiple(self, drive: Drive, _command: Command) -> None:
        count = drive.registers["sector_count"][0]
        good = 0 < count <= drive.multiple and count & count - 1 == 0
        drive.multiple_now = count if good else 0
        self._finish(drive, 0 if good else ABRT)

    def _set_features(self, drive: Drive, _command: Command) -> None:
        if drive.registers["features"][0] != 0x82 or not drive.write_cache:
            return self._finish(drive, ABRT)
        drive.media.update(drive.cache)
        drive.cache.clear()
        drive.write_cache = False
        self._finish(drive)

    def _flush(self, drive: Drive, command: Command) -> None:
        if not drive.flush or (command.wide and not drive.lba48):
            return self._finish(drive, ABRT)
        self._after(drive, FLUSH_NS, lambda: self._flushed(drive, command))

    def _flushed(self, drive: Drive, command: Command) -> None:
        if self._strike(drive, command, 0, drive.sectors):
            return
        drive.media.update(drive.cache)
        drive.cache.clear()
        self._finish(drive)

    # --- reset ---

    def write_control(self, value: int) -> None:
        before, self.control_value = self.control_value, value
        if value & SRST:
            for drive in self.drives:
                if drive:
                    drive.generation += 1
                    drive.status |= BSY
        elif before & SRST:
            self.selected = 0
            for drive in self.drives:
                if drive:
                    self._after(drive, RESET_NS, lambda drive=drive: self._reset(drive))

    def _reset(self, drive: Drive) -> None:
        if drive.stuck and drive.stuck.survives_reset:
            return
        drive.stuck, drive.multiple_now, drive.intrq, drive.dma_command = None, 0, False, None
        if drive.loses_cache_in_reset:
            drive.cache.clear()
        drive.set_signature()
        drive.error, drive.status = 1, 0 if drive.atapi else DRDY | DSC


START, INTO_MEMORY = 0x01, 0x08
BM_ACTIVE, BM_ERROR, BM_INTERRUPT, BM_NOTES = 0x01, 0x02, 0x04, 0x60
DMA_FAULTS = ("bus", "short", "still", "lazy", "garbage")
FIRST_ADDRESS = 0x1FFFC00       # near a border of 64 KiB, so that most transfers take several regions


class BusMaster:
    """The bus-master half of a channel: what is behind its ports, and the memory that it knows by address. `engine` is
    what the kernel's DMA engine does with it, and the capability that a driver gets (kernel/lua_dma.c)."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.channel: AtaChannel | None = None
        self.command = 0
        self.status = 0x60
        self.table = 0
        self.memory: dict[int, bytearray] = {}
        self.tables: dict[int, list[tuple[int, int]]] = {}
        self.transfers: list[tuple[str, int]] = []
        self.stops = 0

    def _violation(self, text: str) -> None:
        assert self.channel
        self.channel.violation(text)

    # --- registers ---

    def read(self, offset: int, width: int) -> int:
        assert (offset, width) == (2, 1), "a driver reads nothing but the status"
        return self.status

    def write(self, offset: int, width: int, value: int) -> None:
        if offset == 0:
            self._write_command(value)
        elif offset == 2:
            self.status = self.status & BM_ACTIVE | value & BM_NOTES | self.status & ~value & (BM_ERROR | BM_INTERRUPT)
            if value & BM_NOTES != BM_NOTES:
                self._violation("the firmware's notes were wiped out")
        elif offset == 4:
            if self.status & BM_ACTIVE:
                self._violation("table written while active")
            self.table = value

    def _write_command(self, value: int) -> None:
        if self.status & BM_ACTIVE and (value ^ self.command) & INTO_MEMORY:
            self._violation("direction changed while active")
        starts = value & START and not self.command & START
        self.command = value
        if not value & START:
            self.status &= ~BM_ACTIVE
        if starts:
            assert self.channel and self.channel.drive
            if self.status & (BM_INTERRUPT | BM_ERROR):
                self._violation("started with old status bits")
            if not self.channel.drive.status & (BSY | DRQ | ERR):
                self._violation("started before the drive has a command")
            self.status |= BM_ACTIVE
            self.channel.dma_ready()

    def interrupted(self) -> None:
        self.status |= BM_INTERRUPT

    # --- memory ---

    def regions(self) -> list[tuple[int, int]]:
        return self.tables[self.table]

    def _place(self, address: int) -> tuple[bytearray, int]:
        base = max(start for start in self.memory if start <= address)
        return self.memory[base], address - base

    def collect(self, length: int) -> bytes:
        data = b""
        for address, count in self.regions():
            memory, at = self._place(address)
            data += memory[at:at + count]
        return data[:length]

    def scatter(self, data: bytes) -> None:
        for address, count in self.regions():
            memory, at = self._place(address)
            memory[at:at + len(data[:count])] = data[:count]
            data = data[count:]

    # --- the engine ---

    def new_memory(self, count: int) -> tuple[int, bytearray]:
        address = FIRST_ADDRESS + 0x1000000 * len(self.memory)
        self.memory[address] = bytearray(count)
        return address, self.memory[address]

    def prepare(self, direction: bytes, address: int, count: int) -> None:
        assert not self.command & START, "a transfer is under way"
        regions = []
        self.transfers.append((direction.decode(), count))
        while count > 0:
            some = min(count, 0x10000 - address % 0x10000)
            regions.append((address, some))
            address, count = address + some, count - some
        self.tables = {0x5000: regions}
        self.write(0, 1, INTO_MEMORY if direction == b"in" else 0)
        self.write(4, 4, 0x5000)

    def start(self) -> None:
        self.write(0, 1, self.command | START)

    def stop(self) -> None:
        self.stops += 1
        if self.command & START:
            self.write(0, 1, self.command & ~START)


class CommandBlock:
    """Eight ports."""

    def __init__(self, channel: AtaChannel) -> None:
        self.channel = channel

    def read(self, offset: int, width: int) -> int:
        channel = self.channel
        channel.accesses += 1
        if offset == 0:
            return self._read_data(width)
        if offset == 7:
            if channel.drive and channel.machine.now >= channel.stale_until:
                channel.drive.intrq = False
            return channel.status()
        return channel.read_register(offset)

    def write(self, offset: int, width: int, value: int) -> None:
        channel = self.channel
        channel.accesses += 1
        if offset == 0:
            self._write_data(value.to_bytes(width, "little"))
        elif offset == 7:
            channel.start(value)
        elif offset == 6:
            channel.select(value)
        else:
            channel.write_register(offset, value)

    def _ready(self) -> Drive | None:
        drive = self.channel.drive
        if drive is None or drive.gone is not None:
            return None
        if not drive.status & DRQ or drive.status & BSY:
            self.channel.violation(f"data port used while status is {drive.status:#x}")
            return None
        if self.channel.machine.now < self.channel.stale_until:
            self.channel.violation("data port used within 400 ns")
        return drive

    def _advance(self, drive: Drive, count: int) -> None:
        drive.position += count
        if drive.position >= len(drive.data):
            done = drive.block_done
            drive.block_done = None
            drive.status &= ~DRQ
            if done:
                done()

    def _read_data(self, width: int) -> int:
        drive = self._ready()
        if drive is None:
            return (1 << 8 * width) - 1
        taken = 2 if width == 4 and not self.channel.wide else width
        value = int.from_bytes(drive.data[drive.position:drive.position + taken], "little")
        self._advance(drive, taken)
        if taken < width:
            value |= self.channel.read_register(2) << 16 | self.channel.read_register(3) << 24
        return value

    def _write_data(self, data: bytes) -> None:
        drive = self._ready()
        if drive is None:
            return
        drive.data[drive.position:drive.position + len(data)] = data
        self._advance(drive, len(data))

    # Bursts that lie in one block go in one piece; all others access by access.

    def read_burst(self, offset: int, width: int, accesses: int) -> bytes | None:
        drive = self.channel.drive
        length = accesses * width
        if offset != 0 or drive is None or (width == 4 and not self.channel.wide) or not drive.status & DRQ \
                or drive.status & BSY or drive.gone is not None or length > len(drive.data) - drive.position:
            return None
        self._ready()
        data = bytes(drive.data[drive.position:drive.position + length])
        self._advance(drive, length)
        return data

    def write_burst(self, offset: int, width: int, data: bytes) -> bool:
        drive = self.channel.drive
        if offset != 0 or drive is None or (width == 4 and not self.channel.wide) or not drive.status & DRQ \
                or drive.status & BSY or drive.gone is not None or len(data) > len(drive.data) - drive.position:
            return False
        self._write_data(data)
        return True


class ControlBlock:
    """One port."""

    def __init__(self, channel: AtaChannel) -> None:
        self.channel = channel

    def read(self, _offset: int, _width: int) -> int:
        self.channel.accesses += 1
        return self.channel.status()

    def write(self, _offset: int, _width: int, value: int) -> None:
        self.channel.accesses += 1
        self.channel.write_control(value)
