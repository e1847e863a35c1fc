"""What the scripts share, a file for each idea. Nothing here imports a script or a plugin.

What stands in no room is what all else is told in: errors, the console, the session, and what a plugin promises.
The rooms, from the ground up; none imports from a floor above its own (a test says so):

    lab, capacity                             what files say; where machines are to be had
    registry                                  what was asked and answered, and what follows from it
    aws                                       the recorded way to AWS
    hosts                                     machines by ssh, and the accounts on them
    data, costs, runs, launch, machines       what a machine is made of, and its life
    sweeps, watch, reports, account, doctor   all of them, looked at as a whole
"""
