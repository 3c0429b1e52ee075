"""Published nucleotide language models, from folders on this machine, never the network.

``load_published`` (``encoders.published.models``) opens a folder as a ``SequenceModel``;
``python -m encoders.published check FOLDER`` says whether a folder can be used.
"""
