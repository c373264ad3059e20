"""A module that cannot be imported: what it needs does not exist."""

import no_such_package_at_all  # type: ignore[import-not-found]

Thing = no_such_package_at_all.Thing
