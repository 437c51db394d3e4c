"""Assist: use cases of a model beside a clinician, grounding marks, chat with a privacy gate,
second reader."""

from medinstruct.assist import second_reader
from medinstruct.assist.chat import Guard, Session, open_chat, show_turns
from medinstruct.assist.grounding import marks
from medinstruct.assist.transcript import Answer, Transcripts, Turn, judge
from medinstruct.assist.use_cases import EMERGENCY, NOTICE, USE_CASES, consult, load_cases
