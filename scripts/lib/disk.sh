# Shared by slow-disk and fast-disk: a file system on a loop device, made for one measurement and removed after it.
#
# Everything belonging to one disk lives beneath one directory: DIR/mnt is the mounted file system, DIR/.disk holds
# what is needed to take it down again (the loop devices' names, process ids). `down` works from these alone, so it
# also cleans up after an `up` that was interrupted.

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "needs root (loop devices and mounts)"
}

need_programs() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || die "$program is not installed (Debian: apt-get install $PACKAGES)"
    done
}

# wait_for SECONDS COMMAND...: true as soon as the command is, false when the time is up.
wait_for() {
    local tries=$(($1 * 20))
    shift
    until "$@"; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.05
    done
}

# process_is PID NAME: is that process alive and still the program we started? A zombie has ended: its parent is gone
# and nobody may ever collect it.
process_is() {
    [ -n "$1" ] && [ "$(cat "/proc/$1/comm" 2>/dev/null)" = "$2" ] &&
        ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

process_is_not() {
    ! process_is "$@"
}

# end_process PIDFILE NAME: ends the process that PIDFILE names, and waits for its end.
end_process() {
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    if process_is "$pid" "$2"; then
        kill "$pid" 2>/dev/null
        wait_for 5 process_is_not "$pid" "$2" || kill -KILL "$pid" 2>/dev/null
    fi
    rm -f "$1"
}

# attach DIR IMAGE: puts IMAGE on a loop device, one more of the disk's. Direct I/O: the image's pages are not cached a second time, so the
# file system's own page cache is the only one and dropping it makes everything cold.
attach() {
    local device
    device=$(losetup --direct-io=on --show -f "$2") || die "no loop device for $2"
    # The kernel's default. A loop device keeps what it had for its last file.
    blockdev --setra 256 "$device"
    echo "$device" >>"$1/.disk/loop"
}

# mount_disk DIR: noatime, so that the first read of a file costs the same as the tenth.
mount_disk() {
    local devices options=noatime device
    mapfile -t devices <"$1/.disk/loop"
    # A file system over several devices is told where the others are.
    for device in "${devices[@]:1}"; do
        options=$options,device=$device
    done
    mkdir -p "$1/mnt"
    mount -o "$options" "${devices[0]}" "$1/mnt" || die "cannot mount the file system at $1/mnt"
}

# make_fs DIR TYPE: everything is laid out now, so that no background initialisation runs during a measurement.
make_fs() {
    local devices
    mapfile -t devices <"$1/.disk/loop"
    case $2 in
    ext4) mkfs.ext4 -q -m 0 -E lazy_itable_init=0,lazy_journal_init=0 "${devices[@]}" ;;
    xfs) mkfs.xfs -q -f "${devices[@]}" ;;
    btrfs) mkfs.btrfs -q -f ${devices[1]:+-d raid0 -m raid0} "${devices[@]}" >/dev/null ;;
    *) die "unknown file system $2 (ext4, xfs or btrfs)" ;;
    esac || die "cannot make an $2 file system on ${devices[*]}"
}

# unmount POINT: a server that has just ended may hold a file for a moment, so it is tried for a while. At the end it
# is detached all the same: a measurement's disk must not outlive it.
unmount() {
    mountpoint -q "$1" 2>/dev/null || return 0
    wait_for 10 umount "$1" 2>/dev/null && return 0
    echo "${0##*/}: $1 is still in use, detaching it" >&2
    umount -l "$1"
}

# is_gone DEVICE: its file system is mounted nowhere. A process with mounts of its own may have a copy of ours.
is_gone() {
    local state
    for state in /sys/fs/*/"${1##*/}"; do
        [ ! -e "$state" ] || return 1
    done
}

# cold DIR: unmounting drops every page, inode and name of that file system, and nothing else's.
cold() {
    local device
    [ -e "$1/.disk/loop" ] || die "$1 holds no disk"
    sync -f "$1/mnt"
    wait_for 10 umount "$1/mnt" 2>/dev/null || die "$1/mnt is in use"
    read -r device <"$1/.disk/loop"
    wait_for 10 is_gone "$device" || die "a process with mounts of its own uses $1/mnt"
    mount_disk "$1"
}

detach() {
    local device
    unmount "$1/mnt"
    [ -e "$1/.disk/loop" ] || return 0
    while read -r device; do
        losetup -d "$device" 2>/dev/null
    done <"$1/.disk/loop"
    rm -f "$1/.disk/loop"
}

# remove DIR: what we made, and DIR itself only where nothing else is in it.
remove() {
    rmdir "$1/mnt" 2>/dev/null
    rm -rf --one-file-system "$1/.disk"
    rmdir "$1" 2>/dev/null
    return 0
}
