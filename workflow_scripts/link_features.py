"""Say which features of the two modalities say something about each other, by a table, places or names."""

from jamie import entry, io
from jamie.regulation import linking

with entry.job(snakemake):
    files = entry.fetched(snakemake) if snakemake.input.get("files") else {}
    mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
    if snakemake.params.entry["linked_features"] == "none":
        linked = linking.not_linked()
    else:
        linked = linking.link(mdata, files.get("genes"), files.get("linked_features"))
    linking.speak(linked)
    io.write_table(snakemake.output.table, linked.table)
    io.write_json(snakemake.output.info, linking.account(linked, tuple(mdata.mod)))
    entry.write_inputs(snakemake, snakemake.output.inputs, files)
