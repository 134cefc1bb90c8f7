"""`midway serve`: a local vLLM server for a recipe whose engine is `openai`."""

from __future__ import annotations

import sys

import typer

from midway.cli.saying import say, stop


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""

    @app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def serve(
        context: typer.Context,
        recipe: str = typer.Argument(
            ..., help="A recipe whose engine is openai; `engine.serve` holds further arguments for vllm."
        ),
        python: str = typer.Option(
            sys.executable,
            help="The Python that has vllm, if it lives in another environment.",
            show_default="this one",
        ),
        wait: float = typer.Option(900, help="Seconds until the server must be healthy."),
    ) -> None:
        """Serve the recipe's model with vLLM until Ctrl-C, or while the command after `--` runs:
        `midway serve r.yaml -- midway run r.yaml`."""
        import signal
        import subprocess
        from types import FrameType

        from midway.engines import EngineError, OpenAIEngine
        from midway.engines.serve import serve_command, serving
        from midway.recipe import RecipeError, load_recipe

        def end(number: int, frame: FrameType | None) -> None:
            raise KeyboardInterrupt

        signal.signal(signal.SIGTERM, end)
        try:
            loaded = load_recipe(recipe)
            if not isinstance(loaded.engine, OpenAIEngine):
                raise EngineError(
                    f"the engine of {recipe} is {loaded.engine.kind}, which needs no server\n  set `engine: {{kind: openai}}`"
                )
            if loaded.model.path == "lab":
                raise EngineError(
                    "`model.path: lab` is for the transformers engine\n  set `model.path` to a Hub id or a directory"
                )
            url = loaded.engine.base_urls[0]
            command = serve_command(loaded.engine, loaded.model, python=python)
            # Loading the recipe imports polars, whose own handler of SIGINT does not let Ctrl-C end a wait. In a shell's background
            # job SIGINT is ignored, and stays so.
            if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, end)
            with serving(command, url, seconds=wait, log=lambda line: typer.echo(line, err=True)) as process:
                say(f"serving {loaded.engine.model or loaded.model.path} at {url}")
                if context.args:
                    raise typer.Exit(subprocess.run(context.args, check=False).returncode)
                code = process.wait()
                raise EngineError(f"the server ended by itself (exit code {code})")
        except (EngineError, RecipeError) as error:
            raise stop(str(error)) from None
        except KeyboardInterrupt:
            say("stopped")
            raise typer.Exit(130) from None
