"""What ec2-lab is compared with."""
