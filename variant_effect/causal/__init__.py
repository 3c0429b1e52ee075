"""Causal inference: Mendelian randomisation, fine-mapping, colocalisation, causal graphs.

What cannot be identified from the data and the assumptions stated is refused with
``NotIdentifiedError``, never estimated anyway.
"""
