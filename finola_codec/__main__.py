"""python -m finola_codec"""

from finola_codec.cli import main

if __name__ == "__main__":
    main(prog_name="finola-codec")
