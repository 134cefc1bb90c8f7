"""Chat rows of a run: files of replay, and prompts that pools of their own are asked; each file read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from midway.questions.chat import Chat, chats_digest, read_chats
from midway.recipe import Recipe
from midway.recipe.replay import ReplayConfig
from midway.records import Question
from midway.rundir import RunError


class Chats:
    """Rows by the file that a recipe names."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self._read = cache(lambda path, answered: read_chats(Path(path).expanduser(), answered=answered))

    def replay(self, config: ReplayConfig) -> list[Chat]:
        """Return the rows of a file of replay. Raises QuestionError."""
        return self._read(config.source, True)

    def digest(self, config: ReplayConfig) -> str:
        """Return a content hash of the rows of a file of replay."""
        return chats_digest(self.replay(config))

    def prompts(self, pool: str) -> dict[str, Chat]:
        """Return what a pool with `prompts` of its own is asked, by id. Raises QuestionError."""
        config = self.recipe.pools[pool]
        if not config.prompts:
            raise RunError(f"pools.{pool}: it has no prompts of its own")
        return {chat.id: chat for chat in self._read(config.prompts, False)}

    def prompts_digest(self, pool: str) -> str:
        """Return a content hash of a pool's prompts; order counts."""
        return chats_digest(list(self.prompts(pool).values()))

    def questions(self, pool: str) -> list[Question]:
        """Return a pool's prompts as requests take them: questions without a gold answer."""
        return [
            Question(
                domain="chat",
                id=id_,
                text=chat.prompt if isinstance(chat.prompt, str) else chat.prompt[-1]["content"],
                source=self.recipe.pools[pool].prompts or "",
            )
            for id_, chat in self.prompts(pool).items()
        ]
