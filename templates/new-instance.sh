# Forget what an image brought here from another instance. Runs as root with sh, at every boot.
#
# State of this instance stands in /var/lib/ec2-lab/instance, a link to a directory that is named after the instance.
# Where it leads to another one, or there is none, this instance was just made from an image. Then everything goes that
# was the other one's alone: state, programs, units and settings of the lab, the mounts of its volumes, its user data,
# its instance id and with it its journal. The accounts that the lab made are locked until they are asked for again, so
# that nobody gets in who was a member when the image was made. Their homes stay, and all that is not the lab's.
# A boot of the same instance, after a stop too, changes nothing.

state=/var/lib/ec2-lab
export LC_ALL=C

# cloud-init says it to what it runs, and to everybody; on Nitro, the firmware does. An id that cloud-init falls back to
# without the metadata service is no other instance.
id=
for found in "$INSTANCE_ID" $(cat /run/cloud-init/.instance-id /sys/class/dmi/id/board_asset_tag 2>/dev/null); do
  case $found in *[!i0-9a-f-]*) ;; i-????????*) id=$found; break ;; esac
done
if [ -z "$id" ]; then
  echo "ec2-lab: PROBLEM: neither cloud-init nor the firmware tells the id of this instance"
  exit 1
fi
[ "$(readlink $state/instance)" != "$id" ] || exit 0

failed=
try() { "$@" || failed="$failed $*;"; }

lock_accounts() {
  [ ! -e $state/accounts.json ] ||
    echo "{\"members\": {}, \"make_groups\": [], \"reserved\": []}" | /opt/ec2-lab/accounts --at-boot /dev/stdin
}

remove_units() {
  cd /etc/systemd/system || return
  # But for this one's own. What does not run can't be stopped.
  for unit in ec2-lab-[!n]* experiment[.-]*; do
    systemctl stop --no-block "$unit" 2>/dev/null
  done
  rm -rf -- ec2-lab-* ./*.wants/ec2-lab-* experiment[.-]* ./*.wants/experiment.*
}

unmount() {
  awk -v mount="$1" "/^#/ || \$2 != mount" /etc/fstab >/etc/fstab.new && cat /etc/fstab.new >/etc/fstab &&
    rm /etc/fstab.new && { ! mountpoint -q "$1" || umount "$1"; }
}

# As the account whose home it is, which may hold any links.
remove_code() {
  home=$(getent passwd experiment | cut -d: -f6)
  [ -z "$home" ] || runuser -u experiment -- rm -rf -- "$home/code" "$home/code.new"
}

remove_all_but() { [ ! -e "$1" ] || find "$1" -mindepth 1 -maxdepth 1 ! -name "$2" -exec rm -rf -- {} +; }

renew_machine_id() {
  tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id && systemctl restart systemd-journald
}

if [ -e $state ] || [ -e /opt/ec2-lab ]; then
  echo "ec2-lab: this is $id, made from an image of another instance, which is forgotten"
  try lock_accounts
  try remove_units
  for mount in $(grep -o "\"mount\": \"[^\"]*" /etc/ec2-lab/volumes.json 2>/dev/null | cut -d\" -f4 | sort -r); do
    try unmount "$mount"
  done
  try remove_code
  try rm -rf /opt/ec2-lab /etc/ec2-lab
  try remove_all_but /var/lib/cloud/instances "$id"
  try remove_all_but $state accounts.json
  try renew_machine_id
  systemctl daemon-reload
fi
mkdir -p "$state/$id"
[ -z "$failed" ] || echo "ec2-lab: PROBLEM: could not be reset:$failed" | tee "$state/$id/incomplete"
ln -s "$id" $state/.new && mv -T $state/.new $state/instance && [ -z "$failed" ]
