#!/bin/sh
# The first process of the guest.  Its environment (LAB_*) comes from the kernel's command line, its files from the host through hostfs.
# It makes the usual mounts over the host's tree (none of them is seen by the host), loads the modules, runs the command and powers off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/tmp /run/netns /run/modules/lib/modules
[ -e /dev/null ] || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
chmod 1777 /run/tmp /dev/shm
# Nothing of the host's own state is in reach of what runs here.
[ -d /var/lib ] && mount -t tmpfs tmpfs /var/lib

version=$(uname -r)
ln -s "$LAB_MODULES" "/run/modules/lib/modules/$version"
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
hostname lab
ip link set lo up

cd "$LAB_ROOT" || exit 1
export TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
"$LAB_PYTHON" -m tests.kernel.guest >"$LAB_DIR/output" 2>&1
echo $? >"$LAB_DIR/status"
exec "$LAB_PYTHON" -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321FEDC)'
