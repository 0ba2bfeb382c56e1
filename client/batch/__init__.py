"""Stylization of many photos on Ray Data, without a server."""
