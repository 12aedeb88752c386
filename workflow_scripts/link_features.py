"""Say which features of the two modalities say something about each other, by a table, places or names."""

from jamie import entry, io
from jamie.regulation import linking

with entry.job(snakemake):
    files = entry.fetched(snakemake) if snakemake.input.get("files") else {}
    mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
    linked = linking.of_dataset(mdata, snakemake.params.entry, files)
    linking.speak(linked)
    io.write_table(snakemake.output.table, linked.table)
    io.write_json(snakemake.output.info, linking.account(linked, tuple(mdata.mod)))
    entry.write_inputs(snakemake, snakemake.output.inputs, files)
