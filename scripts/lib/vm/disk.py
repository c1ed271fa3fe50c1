"""A disk whose reads take long: device-mapper delays them."""

import subprocess
from pathlib import Path

import site_vm as site

# How many milliseconds a read takes.
DELAY = 20


DEVICE = "/dev/dm-0"


class Disk:
    """An ext4 there, with documents; nothing of them is in memory."""

    def __init__(self):
        self.mounted = Path("/srv/disk")
        self.root = self.mounted / "documents"
        self.documents = site.names("f", 60, 4)
        self.mounted.mkdir(parents=True, exist_ok=True)
        disk = "/dev/vdd"
        sectors = subprocess.check_output(["blockdev", "--getsz", disk], text=True).strip()
        table = f"0 {sectors} delay {disk} 0 {DELAY} {disk} 0 0"
        subprocess.run(["dmsetup", "create", "--noudevrules", "--noudevsync", "slow", "--table", table], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", "-Elazy_itable_init=0,lazy_journal_init=0", DEVICE], check=True)
        self.mount()
        site.lay(self.root, self.documents)

    def mount(self):
        subprocess.run(["mount", "-o", "noatime", DEVICE, self.mounted], check=True)

    def cold(self):
        subprocess.run(["umount", self.mounted], check=True)
        self.mount()
