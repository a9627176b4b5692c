"""What users write for a cloud, whichever it is."""

from typing import Annotated

from pydantic import Field

from topology.model import DataClass
from topology.section import Number, Section, setting

LABEL = r"^[A-Za-z0-9_.@-]{1,63}$"
# What CloudWatch takes (docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
LOG_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


class OwnershipSetting(Section):
    owner: str | None = setting(
        None,
        allowed="1 to 63 letters, digits, and `_.@-`; needed on aws and gcp",
        meaning="The team that answers for the stack.",
        pattern=LABEL,
    )
    cost_center: str | None = setting(
        None,
        allowed="1 to 63 letters, digits, and `_.@-`; needed on aws and gcp",
        meaning="What the stack is billed to.",
        pattern=LABEL,
    )
    data_class: DataClass = setting(
        "confidential",
        allowed="public, internal, confidential, restricted",
        meaning="How sensitive the stack's data is.",
    )


class RetentionSetting(Section):
    point_in_time_days: Number = setting(
        35,
        allowed="a whole number from 1 to 35",
        meaning="How far back the database can be restored to any second.",
        ge=1,
        le=35,
    )
    backup_days: Number = setting(
        35,
        allowed="a whole number from 1 to 36500; on gcp `point_in_time_days` or more, 365 at most",
        meaning="How long a backup in a region's vault is kept, and its copy in another region's. Below 7 the policies "
        "refuse it from phase 2 on.",
        ge=1,
        le=36500,
    )
    log_days: Number = setting(
        90,
        allowed=f"a whole number from 1 to {LOG_DAYS[-1]}; on aws {', '.join(map(str, LOG_DAYS))}; on gcp 3650 at most",
        meaning="How long logs are kept.",
        ge=1,
        le=LOG_DAYS[-1],
    )


class AlarmsSetting(Section):
    emails: tuple[Annotated[str, Field(pattern=EMAIL)], ...] = setting(
        (), allowed="a list of e-mail addresses", meaning="Who is told of an alarm; each confirms once by mail."
    )
