"""KMS keys: what encrypts has no private key, what signs has one."""

import base64


def test_an_encrypted_volume_without_a_named_key_has_the_region_s_own_which_encrypts(cloud, ec2):
    arn = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, Encrypted=True)["KmsKeyId"]
    kms = cloud.client("kms", "us-east-1")
    key = kms.describe_key(KeyId=arn)["KeyMetadata"]
    assert (key["KeySpec"], key["KeyUsage"]) == ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
    secret = kms.encrypt(KeyId=arn, Plaintext=b"data key")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"data key"


def test_a_key_that_signs_still_does(cloud):
    kms = cloud.client("kms", "us-east-1")
    identity = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    asked = {"KeyId": identity, "Message": base64.b64encode(b"text"), "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(**asked, Signature=signature)["SignatureValid"]
