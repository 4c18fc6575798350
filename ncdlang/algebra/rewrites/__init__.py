"""The rewrites, one module each, and the pipeline that is carried out by default."""

from __future__ import annotations

from ncdlang.algebra.patches import Rewrite
from ncdlang.algebra.rewrites.before_scans import BEFORE_SCANS
from ncdlang.algebra.rewrites.common_subterms import COMMON_SUBTERMS
from ncdlang.algebra.rewrites.dead_wires import DEAD_WIRES
from ncdlang.algebra.rewrites.divide_once import DIVIDE_ONCE
from ncdlang.algebra.rewrites.fold_reindexing import FOLD_REINDEXING, UNFOLD
from ncdlang.algebra.rewrites.matrix_product import MATRIX_PRODUCT
from ncdlang.algebra.rewrites.merge_contractions import MERGE_CONTRACTIONS
from ncdlang.algebra.rewrites.merge_reindexings import MERGE_REINDEXINGS
from ncdlang.algebra.rewrites.order_contractions import ORDER_CONTRACTIONS
from ncdlang.algebra.rewrites.parallel_projections import PARALLEL_PROJECTIONS
from ncdlang.algebra.rewrites.slide import SLIDE_IN, SLIDE_OUT
from ncdlang.algebra.rewrites.smallest_array import SMALLEST_ARRAY

REWRITES: tuple[Rewrite, ...] = (
    DEAD_WIRES,
    COMMON_SUBTERMS,
    MERGE_REINDEXINGS,
    FOLD_REINDEXING,
    UNFOLD,
    DIVIDE_ONCE,
    MERGE_CONTRACTIONS,
    ORDER_CONTRACTIONS,
    SLIDE_IN,
    SLIDE_OUT,
    SMALLEST_ARRAY,
    MATRIX_PRODUCT,
    PARALLEL_PROJECTIONS,
    BEFORE_SCANS,
)
"""Every rewrite, in the order in which they are listed."""

PIPELINE: tuple[Rewrite, ...] = (
    MERGE_REINDEXINGS,
    BEFORE_SCANS,
    COMMON_SUBTERMS,
    SMALLEST_ARRAY,
    FOLD_REINDEXING,
    MERGE_CONTRACTIONS,
    ORDER_CONTRACTIONS,
    UNFOLD,
    MERGE_REINDEXINGS,
    COMMON_SUBTERMS,
    DEAD_WIRES,
)
"""What is done by default, in this order; the graph that it leaves reads by plain axes."""


def named(name: str) -> Rewrite | None:
    """The rewrite of that name."""
    return next((rule for rule in REWRITES if rule.name == name), None)
