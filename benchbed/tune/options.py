"""The section [tune] of a study's file."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

NONE = "none"
# What a trial may be judged by, and which way is better. None of them is decided by a test image.
OBJECTIVES = {
    "accuracy": "maximize",  # validation accuracy of the chosen architecture, percent
    "supernet": "maximize",  # validation accuracy of the supernet at its evaluation gates, percent
    "latency": "minimize",  # of the chosen architecture, ms
    "cost": "minimize",  # of the chosen architecture, in the cost's unit
    "params": "minimize",  # of the chosen architecture's published network
    "flops": "minimize",
    "seconds": "minimize",  # of search and selection; of a table-only search those that the table says
}
# What may differ between two starts of one study: how much is done, and how.
FREE = ("name", "trials", "storage", "retries", "heartbeat", "grace", "space")


class TuneOptions(BaseModel):
    """The section [tune]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="of the study in its storage; default: the file's")
    trials: int = Field(strict=True, ge=1, le=100_000, description="complete or pruned, in the end")
    objectives: list[str] = Field(default=["accuracy"], min_length=1, description="what a trial is judged by")
    sampler: dict[str, Any] = Field(default={"name": "tpe"}, description="a name, or a table of name and options")
    pruner: dict[str, Any] = Field(default={"name": NONE}, description="likewise; 'none' prunes nothing")
    storage: str = Field("memory", description="memory, journal:FILE or a database URL")
    seed: int = Field(0, ge=0, description="of the sampler")
    retries: int = Field(3, ge=0, description="more attempts at a trial whose run failed or whose worker died")
    heartbeat: int = Field(60, ge=1, description="seconds between a worker's signs of life in a database")
    grace: int = Field(180, ge=2, description="seconds without one after which it counts as dead")
    space: dict[str, Any] = Field(min_length=1, description='"SECTION.OPTION" = [values] or {low, high, log, step}')

    @field_validator("sampler", "pruner", mode="before")
    @classmethod
    def _named(cls, given: object) -> dict[str, Any]:
        if not isinstance(given, str | dict):
            raise ValueError("expected a name, or a table with a name and options")
        return {"name": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _lasting(self) -> "TuneOptions":
        if self.grace <= self.heartbeat:
            raise ValueError(
                f"grace {self.grace} is not above heartbeat {self.heartbeat}: every worker would look dead"
            )
        return self
