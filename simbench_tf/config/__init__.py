"""The configuration of a run: its settings records, and how a YAML file or a preset is read and checked."""

from simbench_tf.config.base import Strict
from simbench_tf.config.discovery import Discovery
from simbench_tf.config.grammar import (
    HUMAN_BACKGROUND,
    MOST_STRETCHES,
    Element,
    Fraction,
    GrammarSimulation,
    Position,
    Rate,
    Rule,
    SequenceClass,
    Share,
    Stretch,
    Task,
)
from simbench_tf.config.load import (
    RECORDED_PACKAGES,
    check_config,
    config_dict,
    load_config,
    presets,
    variants_of,
    versions,
    write_config,
)
from simbench_tf.config.models import GkmSvmSettings, Model, Replicate, replicates, safe_name
from simbench_tf.config.run import (
    AttributionSettings,
    Config,
    Dynamics,
    Export,
    MethodSettings,
    MetricSettings,
    Scoring,
)
from simbench_tf.config.simulation import MatchedBackground, PeaksSimulation, TextSimulation
from simbench_tf.config.simulation_kind import PluggedSimulation, Splits
from simbench_tf.config.training import Augment, Training, training_of

# their names before they were told apart from the records of `attribution`
Attribution, Method = AttributionSettings, MethodSettings

__all__ = [
    "HUMAN_BACKGROUND",
    "MOST_STRETCHES",
    "RECORDED_PACKAGES",
    "Attribution",
    "AttributionSettings",
    "Augment",
    "Config",
    "Discovery",
    "Dynamics",
    "Element",
    "Export",
    "Fraction",
    "GkmSvmSettings",
    "GrammarSimulation",
    "MatchedBackground",
    "Method",
    "MethodSettings",
    "MetricSettings",
    "Model",
    "PeaksSimulation",
    "PluggedSimulation",
    "Position",
    "Rate",
    "Replicate",
    "Rule",
    "Scoring",
    "SequenceClass",
    "Share",
    "Splits",
    "Stretch",
    "Strict",
    "Task",
    "TextSimulation",
    "Training",
    "check_config",
    "config_dict",
    "load_config",
    "presets",
    "replicates",
    "safe_name",
    "training_of",
    "variants_of",
    "versions",
    "write_config",
]
