"""Images whose phases are random beyond a resolution, with the amplitudes that they have.

High-resolution noise substitution (Chen et al. 2013, Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004), of the images of
one round.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from refine_hooks.particles.stacks import Block, Images
from refine_hooks.sums.plan import Plan

_SEED = 20130605
_AT_ONCE = 16


def with_random_phases(plan: Plan, block: Block, images: Images, from_A: float, pool: ThreadPoolExecutor) -> Images:
    """Images [image, y, x] of a block with random phases beyond ``from_A``; each of them the same in blocks of any size.

    Args:
        plan: whose particles the block names.
        block: which particles these are.
        images: left as they are.
        from_A: coefficients finer than this take the phases of white noise.
        pool: to work in.
    """
    from scipy import fft

    n = block.box_px
    rows, pixels_A = plan.rows[block.rows], plan.particles.pixel_size_A[block.rows]
    square = np.fft.fftfreq(n)[:, None] ** 2 + np.fft.rfftfreq(n) ** 2
    out = np.empty_like(images)

    def work(begin: int) -> None:
        for i in range(begin, min(begin + _AT_ONCE, len(images))):
            own = fft.rfft2(images[i], workers=1)
            noise = fft.rfft2(
                np.random.default_rng((_SEED, int(rows[i]))).standard_normal((n, n), np.float32), workers=1
            )
            turned = np.abs(own) * noise / np.maximum(np.abs(noise), 1e-20)
            out[i] = fft.irfft2(np.where(square > (pixels_A[i] / from_A) ** 2, turned, own), s=(n, n), workers=1)

    for _ in pool.map(work, range(0, len(images), _AT_ONCE)):
        pass
    return out
