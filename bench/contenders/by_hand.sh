#!/bin/sh
# What people write by hand with the AWS CLI: an instance, a volume from the data's snapshot beside it, each answer in a
# file. The ids of image, group and snapshot are the user's to know. Run in a directory of its own:
#
#     IMAGE=ami-… GROUP=sg-… SNAPSHOT=snap-… TYPE=g5.xlarge sh by_hand.sh launch
set -eu

found() { # found KEY FILE: the first value of a key in a JSON file
    sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$2" | head -n 1
}

launch() {
    aws ec2 run-instances --image-id "$IMAGE" --instance-type "$TYPE" --security-group-ids "$GROUP" \
        --tag-specifications 'ResourceType=instance,Tags=[{Key=Name,Value=demo}]' > instance.json
    instance=$(found InstanceId instance.json)
    aws ec2 wait instance-running --instance-ids "$instance"
    aws ec2 create-volume --snapshot-id "$SNAPSHOT" --availability-zone "$(found AvailabilityZone instance.json)" \
        --volume-type gp3 --tag-specifications 'ResourceType=volume,Tags=[{Key=Name,Value=demo}]' > volume.json
    volume=$(found VolumeId volume.json)
    aws ec2 wait volume-available --volume-ids "$volume"
    aws ec2 attach-volume --volume-id "$volume" --instance-id "$instance" --device /dev/sdf > attachment.json
    aws ec2 wait volume-in-use --volume-ids "$volume"
    aws ec2 modify-instance-attribute --instance-id "$instance" \
        --block-device-mappings '[{"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": true}}]' > modified.json
    aws ec2 describe-instances --instance-ids "$instance" > described.json
}

status() {
    aws ec2 describe-instances --instance-ids "$(found InstanceId instance.json)" > described.json
}

teardown() {
    instance=$(found InstanceId instance.json)
    aws ec2 terminate-instances --instance-ids "$instance" > terminated.json
    aws ec2 wait instance-terminated --instance-ids "$instance"
    aws ec2 describe-volumes --filters "Name=volume-id,Values=$(found VolumeId volume.json)" > left.json
}

"$1"
