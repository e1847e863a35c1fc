"""What the scripts and plugins are made of, a file for each idea. Nothing here imports a script.

The floors, from the ground up. Nothing imports from a floor above its own: import-linter checks it (`make lint`), and
pyproject.toml lists the imports that do not keep to it yet. A file in no package is of the ground floor, but for those
that are named here.

    config                                    what files say
    registry                                  what was requested of AWS and what it responded, and what follows from it
    aws                                       the recorded way to AWS
    resources, plugin_guard, plugin_results, plugins  each resource type, and how plugins are loaded
    costs                                     prices, charges, budgets
    session                                   all of the above, put together for one command
    hosts                                     instances by ssh, and the accounts on them
    datasets, instances, launch, runs, volumes  what an instance is made of, and its life
    account, audit, doctor, report, sweeps, watch  all of them, looked at as a whole
    builtin                                   what comes with the lab, registered as any plugin registers its own
"""
