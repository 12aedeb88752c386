"""One table of the settings that were chosen, beside the defaults."""

from jamie import entry, io, unmade
from jamie.evaluation import tuning

with entry.job(snakemake, judges=("tuning",)):
    tunings = [unmade.read(path) or io.read_json(path) for path in snakemake.input.tuning]
    io.write_table(snakemake.output.settings, tuning.settings_table(tunings))
