"""make bench: calls on the wire, start-up, registry. Prints medians; nothing here passes or fails."""

from bench import capacity_search, launch_calls, registry_append, start_up

for part in (launch_calls, capacity_search, start_up, registry_append):
    print(f"\n## {part.__doc__.splitlines()[0]}\n")
    part.main()
