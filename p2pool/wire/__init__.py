"""Bytes <-> values: field codecs and the framing that the share chain's and Dash's peers use."""
