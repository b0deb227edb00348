"""The particles of one round of a RELION job."""

from refine_hooks.errors import ParticlesError
from refine_hooks.model import Round
from refine_hooks.particles import ParticlesJob, require_both_halves
from refine_hooks.particles.relion import read_star

NOTE = (
    "RELION masks the images to the particle's sphere before insertion; here they are inserted as they are, so that these half "
    "maps are noisier than its _unfil pair"
)


def particles(round_: Round) -> ParticlesJob:
    """The particles behind a round: its own ``data.star``, split by rlnRandomSubset.

    Raises:
        ParticlesError: the table or a stack is not there, or it is a body of a multi-body refinement.
    """
    inputs = round_.inputs
    table = inputs.data or inputs.job.folder / f"{inputs.stem}_data.star"
    if not table.is_file():
        raise ParticlesError(f"{table}: is not there (any more), so this round's particles are not known")
    symmetry = (round_.facts.symmetry or "C1").upper()
    if inputs.kind != "class":
        raise ParticlesError(f"{table}: bodies of a multi-body refinement are not reconstructed here")
    rows_of_class = read_star(table, root=inputs.job.project, class_id=round_.key.class_id)
    require_both_halves(rows_of_class)
    return ParticlesJob(rows_of_class, "relion", symmetry=symmetry, notes=(NOTE,))
