"""The helper functions that launch kernels over whole rows."""

from __future__ import annotations

SOURCES: dict[str, str] = {}

SOURCES["_launch_rows"] = '''
def _launch_rows(
    kernel: Any,
    table: dict[int, tuple[int, int]],
    programs: Any,
    arrays: tuple[Tensor, ...],
    sizes: tuple[int, ...],
    rows: dict[str, int],
    held: dict[str, int],
) -> None:
    """Run a kernel over rows on the GPU and the stream of its arrays, with all of their strides.

    A tile has all of a row, or of longer ones as much as the table says.
    """
    ((name, length),) = held.items()
    block = _power(length) if _power(length) in table else max(table)
    count, warps = table[block]
    tiles = {name: block, **{each: min(_power(n), count) for each, n in rows.items()}}
    if not programs(**tiles):
        return
    arguments = _strided(arrays)
    options = {**tiles, "num_warps": warps, "num_stages": 1}
    with torch.cuda.device_of(arrays[0]):
        kernel[(programs(**tiles),)](*arguments, *sizes, PRECISION="ieee", **options)
'''

SOURCES["_row_parts"] = '''
def _row_parts(rows: int, length: int, others: int, like: Tensor, *tables: Any) -> int:
    """In how many parts sums over rows are taken: one for each program.

    Where rows are held whole a program has many tiles, and there are as many as a GPU runs at once.
    """
    table = tables[0] if length <= max(tables[0]) else tables[-1]
    count, _ = table.get(_power(length), table[max(table)])
    tiles = -(-rows // min(_power(rows), count))
    if table is not tables[0]:
        return tiles
    most = 2
    if like.device.type == "cuda":
        most = 2 * torch.cuda.get_device_properties(like.device).multi_processor_count
    return max(min(tiles, -(-most // max(others, 1))), 1)
'''
