"""Settings of the whole suite."""

from hypothesis import HealthCheck, settings

# Speed is the business of tests/bench: a busy machine must not make a property fail.
settings.register_profile("p2pool", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("p2pool")
