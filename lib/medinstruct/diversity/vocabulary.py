"""The words that the rules know by heart: closed classes, and the verbs that instructions begin with."""


def some(words: str) -> frozenset[str]:
    """Words as a set."""
    return frozenset(words.split())


DETERMINERS = some(
    "the a an this that these those my your his her its our their each every some any no all both another several few many "
    "much enough either neither such"
)
PRONOUNS = some(
    "i you he she it we they me him us them myself yourself himself herself itself ourselves themselves something anything "
    "nothing everything someone anyone everyone nobody somebody there one ones mine yours hers ours theirs"
)
PREPOSITIONS = some(
    "of in on at by for with without from into onto about against between among during through throughout over under after "
    "before since until till within across toward towards upon per via regarding concerning despite except including like than "
    "to as below above behind beyond along around near off out up down away beside besides inside outside versus vs amid"
)
PARTICLES = some("together out up down off on in over away back through")
QUESTION_WORDS = some("what which who whom whose when where why how whether")
MODALS = some("can could may might must shall should will would ca wo 'd ’d 'll ’ll")
BE = some("be is are was were am been being 's ’s 're ’re 'm ’m")
HAVE = some("have has had having 've ’ve")
DO = some("do does did")
JOINERS = some("and or but nor & then")
SUBORDINATORS = some("if when whenever while although though because unless once whereas so")
NEGATIONS = some("not n't n’t never")
ADVERBS = some(
    "also just only even still now too very quite rather really please kindly always often usually ever most more less well here "
    "today yesterday soon again further together instead perhaps maybe however therefore first firstly secondly lastly ok okay hi "
    "hello thus ago already yet almost once twice never so then sometimes later"
)
AUXILIARIES = BE | MODALS | HAVE | DO
CLOSED = (
    DETERMINERS
    | PRONOUNS
    | PREPOSITIONS
    | QUESTION_WORDS
    | AUXILIARIES
    | JOINERS
    | SUBORDINATORS
    | NEGATIONS
    | ADVERBS
)
# Readings that the lexicon lists but that instructions hardly ever mean.
NEVER_VERB = some(
    "patient patients people blood child skin bone bones food water body side type age case cases best better single second first "
    "upper other two three four five ten heart brain neck chest ear eye eyes nose knee shoulder hand hands leg foot mouth head breast finger doctor doctors nurse nurses parent parents key pain fever days day year "
    "years time way ways information evidence question medicine medicines drug drugs father mother man woman nerve clinical "
    "short long brief good detailed simple plain common main likely total medical own same new old further daily"
)
NEVER_NOUN = some(
    "following given using based considering best likely most least able good different common main short brief simple plain single "
    "detailed new old clinical medical such own same possible important specific potential next treat explain describe back"
)
# What instructions begin with: such a word before a noun is a verb, even where it may be a noun, too.
INSTRUCTION_VERBS = some(
    "act advise abridge analyze analyse answer apply argue arrange assess assume break build calculate categorize change check choose cite "
    "classify comment compare compile complete compose compute condense conduct continue consider construct contrast convert correct counsel create "
    "critique debate decide deduce define demonstrate derive describe design detail determine develop devise diagnose diagram "
    "differentiate discuss distinguish document draft draw edit educate elaborate estimate evaluate examine expand explain explore "
    "extract fill find flag formulate generate give group guide help highlight identify illustrate imagine indicate infer inform "
    "interpret investigate judge justify label list locate make map mark match mention name narrate offer order organize outline paraphrase "
    "perform pick plan point predict prepare present prioritize produce propose prove provide question rank rate read reason recall recast recommend "
    "refute rephrase report respond restate review revise reword rewrite role-play score select shorten show simplify simulate solve sort "
    "specify state suggest summarize summarise support suppose take tell test trace translate turn use verify walk write"
)
COMMON_VERBS = INSTRUCTION_VERBS | some(
    "ask avoid bring buy call click come contact drop eat enjoy follow forget get go hear hold hop join keep leave look love mix move note pay "
    "put remember reply run save say see send share sign start stay stop support talk think throw try use visit wait wash watch work"
)
