"""Where things are, and the limits of the lab."""
import os
import pathlib

REPO = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ["NETCHANNEL2_CACHE"])
IMAGES = CACHE / "images"
RELEASE = (CACHE / "release").read_text().strip()
MODULES = CACHE / "modules" / RELEASE
KUNIT_MODULES = CACHE / "modules" / "kunit"
KUNIT_KERNEL = CACHE / "build" / f"kunit-{RELEASE}" / "arch/x86/boot/bzImage"
INSIDE = REPO / "scripts/lab/inside"
HOTPLUG = REPO / "scripts/hotplug"

FRONT, BACK = "netchannel2_front", "netchannel2_back"
STOCK_FRONT, STOCK_BACK = "xen-netfront", "xen-netback"
# Hotplug scripts: the project's, Debian's, and the lab's quick one.
OUR_SCRIPT, DEBIAN_SCRIPT, LAB_SCRIPT = "vif-netchannel2", "vif-bridge", "vif-lab"

# Seconds; under software emulation beside a build everything takes three times as long as undisturbed.
BOOT_LIMIT = 180
GUEST_LIMIT = 90
COMMAND_LIMIT = 60
