"""The share chain as a whole: forest, PPLNS window, verification, best share, storage."""
