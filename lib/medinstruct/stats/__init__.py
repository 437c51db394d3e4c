"""Small statistics for all chapters: intervals by resampling, agreement, paired tests, power, few human labels with many others."""

from medinstruct.stats.agreement import Agreement, cohen_kappa, krippendorff_alpha
from medinstruct.stats.calibration import Calibrated, prediction_powered
from medinstruct.stats.proportions import Share, mcnemar, paired_interval, wilson
from medinstruct.stats.resampling import bootstrap_interval, bootstrap_ratio, entropy, interval, resampled, t_quantile
from medinstruct.stats.testing import holm, items_needed, minimal_difference, sign_flip_test

__all__ = [
    "Agreement", "Calibrated", "Share", "bootstrap_interval", "bootstrap_ratio", "cohen_kappa", "entropy", "holm", "interval", "items_needed",
    "krippendorff_alpha", "mcnemar", "minimal_difference", "paired_interval", "prediction_powered", "resampled", "sign_flip_test", "t_quantile", "wilson",
]  # fmt: skip
