"""The running batch: requests join and leave between the denoising steps of others.

A *sample* is one picture on its way from noise. Every step it asks for one row of the UNet, or for
two where it is guided. Rows of whatever samples are computed in calls of one fixed shape, a
*bucket*, whose empty places are computed for nothing. So nothing that a row's numbers depend on
changes with its company, and a seed means the same bits on a busy server as on an idle one.

Read in this order:

- ``coefficients``  a sampler as a table, made by diffusers' own scheduler
- ``reading``       what a row reads at every step, computed once
- ``network``       a UNet and a ControlNet, from embedded time to prediction
- ``buckets``       how many rows are in one call, and what a row costs
- ``bucket``        the places of one call, and the call
- ``sample``        one picture's state, and a step of several at once
- ``fairness``      whose turn it is
- ``pace``          how fast it goes and how full it is
- ``denoiser``      the thread in which all of it happens
"""
