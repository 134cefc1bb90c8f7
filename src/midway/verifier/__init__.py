"""How answers are judged: maths (`math/`), multiple choice (`choice`), programs in a sandbox (`programs/`), and the killable worker pool
(`pool/`). `midway.domains` puts them together: `Verifier`, `verify`. No torch, no sympy at import.
"""
