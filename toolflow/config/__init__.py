"""The configuration of a run."""

from toolflow.config.loading import load_config
from toolflow.config.run import RunConfig
from toolflow.config.sections import DialogueConfig, RolesConfig

__all__ = ["DialogueConfig", "RolesConfig", "RunConfig", "load_config"]
