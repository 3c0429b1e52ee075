"""The HTTP API (``cisgraph serve``): what a workspace holds, for programs."""
