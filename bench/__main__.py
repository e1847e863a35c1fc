"""make bench: calls on the wire, start-up, registry, a sweep. Prints medians; nothing here passes or fails."""

from bench import capacity_search, launch_calls, registry_append, registry_history, start_up, sweep

for part in (launch_calls, capacity_search, start_up, registry_append, registry_history, sweep):
    print(f"\n## {part.__doc__.splitlines()[0]}\n")
    part.main()
