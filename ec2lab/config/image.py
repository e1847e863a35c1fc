"""The image and the root volume of an instance, as lab.toml or an experiment sets them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from ec2lab.config.fields import Gib, Region, StrictModel, matching

DEEP_LEARNING_IMAGE = (
    "resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
)
"""The current Deep Learning base GPU image for Ubuntu, by AWS's public parameter
(https://docs.aws.amazon.com/dlami/latest/devguide/find-dlami-id.html)."""

SSM = "resolve:ssm:"


class ImageByParameter(StrictModel):
    """An SSM parameter that contains an image id. EC2 resolves it in the region of the launch."""

    parameter: str


class ImageByRegion(StrictModel):
    """An image id for each region."""

    ids: dict[Region, Annotated[str, matching(r"ami-[0-9a-z]+", 'an image id (try "ami-0123456789abcdef0")')]]


class ImageByName(StrictModel):
    """The newest image of an owner whose name matches a pattern with `*` and `?`."""

    owner: Annotated[
        str, matching(r"\d{12}|[a-z][a-z-]*", 'an owner (an account number, "self", "amazon" or another alias of AWS)')
    ]
    name: str


def _image(image: Any) -> Any:
    match image:
        case str() if image.startswith(SSM) and len(image) > len(SSM):
            return {"parameter": image}
        case {"owner": _} | {"name": _}:
            return ImageByName.model_validate(image)
        case dict() if image and all(isinstance(value, str) for value in image.values()):
            return ImageByRegion(ids=image)
        case BaseModel():
            return image
    raise ValueError(
        f'{image!r} is not an image (try "{SSM}/aws/service/…", '
        '{ us-east-1 = "ami-…" } or { owner = "099720109477", name = "ubuntu/images/*" })'
    )


Image = Annotated[ImageByParameter | ImageByRegion | ImageByName, BeforeValidator(_image)]


class RootVolume(StrictModel):
    """The instance's root volume, always encrypted and deleted with the instance."""

    device: Annotated[str, matching(r"/dev/[a-z0-9]+", 'a device (try "/dev/sda1")')] = "/dev/sda1"
    """The image's root device: /dev/sda1 on Ubuntu and Rocky, /dev/xvda on Debian and Amazon Linux (docs/images.md)."""
    size_gib: Gib | None = None
    """Size. Default: that of the image."""
