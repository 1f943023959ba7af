"""The phrase bank of the complaints, sorted by what a phrase reveals.

Only one phrase of a text expresses its severity. The last quarter of each severity's phrases is
used from the cut-off on: it says the same in other words, so that a model which counts words learns
little about it and a model of language does. Topics, openers and closers express no severity. Only
the hints reveal the gender: a first name, or a phrase such as "my husband".
With MiniLM's tokenizer no text has more than 56 tokens, product included.
"""

LOW = (
    "It is only a small annoyance and nothing went wrong because of it.",
    "The wording was a little confusing, though I worked it out myself.",
    "I had to wait a few minutes longer than usual, which was fine in the end.",
    "The page could be prettier and easier on the eye.",
    "The logo was printed slightly crooked, which made me smile.",
    "I would simply prefer a shorter email next time.",
    "The hold music is rather dull, but your colleague was kind.",
    "There is a spelling mistake in the second paragraph.",
    "The print is a bit too small for my taste.",
    "It would be nice to have a dark theme one day.",
    "I got the same newsletter twice, no harm done.",
    "The envelope arrived a bit creased, but all was readable.",
    "You could offer a few more colours to choose from.",
    "The menu has one click too many for my liking.",
    "It was sorted out within the hour and I am content.",
    "I merely wanted to share a suggestion for the future.",
    "The greeting used my old title, which hardly matters.",
    "The pictures load slowly now and then, nothing serious.",
    "I found the tone of the message somewhat stiff.",
    "The reminder came a day early, which was mildly irritating.",
    "The pen at the counter had run dry.",
    "It costs me no money and I can easily live with it.",
    "Everything works, I just find the design old-fashioned.",
    "The leaflet was folded the wrong way round.",
    "A trivial quibble, honestly, I am otherwise delighted.",
    "Your queueing jingle deserves a fresher tune.",
    "Those icons look dated, cosmetically speaking.",
    "Somebody left a typo in the headline.",
    "I'd love larger lettering, if anybody ever gets round to that.",
    "Purely an idea for improvement, no reply expected.",
    "The brochure's paper felt rather thin.",
    "Duplicate birthday wishes landed in my inbox, quite amusing really.",
)
MEDIUM = (
    "I have called three times and it is still not fixed.",
    "I was charged a fee that I should not have had to pay.",
    "The promised callback never came.",
    "I have been waiting two weeks for an answer.",
    "The refund of forty pounds has not reached me yet.",
    "Two departments gave me opposite information.",
    "I had to take a morning off work to deal with it.",
    "The amount on the bill is wrong and needs correcting.",
    "My request was closed without anything being done.",
    "I was passed from one desk to another without result.",
    "The form was rejected twice for no clear reason.",
    "A payment of mine was booked twice and only one came back.",
    "The replacement is ten days late.",
    "I cannot log in since Monday and have to go to a branch each time.",
    "You changed the conditions without telling me beforehand.",
    "My documents were lost and I had to send them all again.",
    "The interest was worked out at the old rate.",
    "A transfer was carried out late and I got a reminder for it.",
    "The appointment was cancelled at short notice for the second time.",
    "My change of address is still ignored after several letters.",
    "The error came back the month after it had been corrected.",
    "I was overcharged by about thirty pounds.",
    "The bonus you advertised has not been credited.",
    "Nobody could tell me when it will be settled.",
    "Despite repeated chasing, the matter remains open.",
    "An unjustified penalty was deducted and I expect reimbursement.",
    "Head office keeps forwarding my enquiry in circles.",
    "The money you owe me is overdue by a fortnight.",
    "Your adviser broke the commitments given to me.",
    "Paperwork went astray, so everything must be submitted afresh.",
    "The total has been miscalculated yet again.",
    "Access keeps failing, forcing me to travel into town.",
)
HIGH = (
    "Nearly all of my savings have vanished and I cannot pay the rent.",
    "A stranger emptied the account and you let it happen.",
    "We are about to lose our home because of this.",
    "I have no money left for food or for my medicine.",
    "The bailiffs came to the door this morning over your mistake.",
    "My private details were sent to somebody who threatens me.",
    "I ended up in hospital from the stress and I am scared.",
    "Thousands were stolen in one night and nobody stopped it.",
    "My solicitor is preparing a claim and the regulator has been told.",
    "The heating is cut off in midwinter as every payment is blocked.",
    "I was declared a fraudster by error and lost my job.",
    "Identity thieves have taken out loans in my name.",
    "My whole wage is frozen and the children go hungry.",
    "I face eviction on Friday unless it is reversed today.",
    "My elderly parent was tricked into sending criminals a fortune.",
    "The police are now investigating what your employee did.",
    "I am being taken to court for a debt that is not mine.",
    "My business will go bankrupt within days.",
    "Someone is using my data to blackmail me.",
    "The funeral could not be paid for and the family is devastated.",
    "I was insulted for my disability by your staff and thrown out.",
    "The surgery was called off since the funds disappeared.",
    "I am desperate and do not know how to go on.",
    "The house sale collapsed and cost us our entire deposit.",
    "Scammers drained everything we owned.",
    "By next week we will be homeless.",
    "I am penniless with an infant to feed.",
    "My confidential address was leaked to a violent stalker.",
    "Paramedics had to treat me after the shock.",
    "Legal proceedings are under way and the ombudsman has my file.",
    "My firm is ruined and twelve workers are being laid off.",
    "Debt collectors are seizing our furniture over a forged contract.",
)
# Low, medium, high: what a shift of kind `phrases` says instead, in words that are not above.
UNHEARD = (
    (
        "The chatbot's avatar winks oddly, which I found endearing.",
        "Autumn themed stationery would brighten up correspondence.",
        "Parking bays outside seem narrowish, never mind.",
        "The podcast you recommended rambles somewhat.",
        "Your mascot looks grumpy on the posters.",
        "Background video in the lobby repeats endlessly, harmless though.",
        "A tooltip overlaps its button on widescreens.",
        "The complimentary biscuits were stale, no drama.",
    ),
    (
        "The chatbot loops and never hands over to a human.",
        "Verification codes expire before they arrive.",
        "Scheduled instalments were debited on weekends despite instructions.",
        "Cashback promised via the promo link is outstanding.",
        "Uploading proof of residence fails at ninety percent.",
        "Exchange markup exceeded the quoted percentage.",
        "My nominated beneficiary was swapped without consent.",
        "Support tickets vanish from the portal unanswered.",
    ),
    (
        "Deepfake callers impersonated your manager and wiped out my pension.",
        "Ransomware crooks got every password through your portal.",
        "Mum's dialysis transport was refused since benefits are blocked.",
        "We sleep in the car with toddlers after repossession.",
        "Crypto swindlers siphoned off my redundancy payout.",
        "An abusive ex learned where we hide from your letter.",
        "Insulin is running out because benefits never cleared.",
        "Journalists and prosecutors are asking about your cover-up.",
    ),
)
TOPICS = {
    "Current account": (
        "the monthly statement", "a direct debit", "the overdraft limit",
        "a standing order", "the joint account", "the account switch",
    ),
    "Credit card": (
        "the yearly card statement", "a card payment abroad", "the reward points",
        "the credit limit", "a contactless payment", "the card renewal",
    ),
    "Mortgage": (
        "the mortgage offer", "the valuation of the house", "the fixed rate period",
        "the monthly instalment", "the early repayment", "the land registry form",
    ),
    "Personal loan": (
        "the loan application", "the repayment plan", "the car loan",
        "the loan insurance", "the settlement figure", "the loan agreement",
    ),
    "Savings account": (
        "the cash ISA", "the notice period", "the yearly interest summary",
        "the savings bond", "the transfer between savings pots", "the children's saver",
    ),
    "Mobile app": (
        "the sign-in with a fingerprint", "the spending overview", "the push messages",
        "the cheque scan", "the payment screen", "the last app update",
    ),
}  # fmt: skip
TOPIC_FRAMES = (
    "It concerns {}.", "This is about {}.", "I am writing about {}.", "My message is about {}.",
    "It has to do with {}.", "I contact you about {}.", "The subject is {}.", "Please look at {}.",
)  # fmt: skip
OPENERS = (
    "Hello.", "Good morning.", "Dear team.", "Dear Sir or Madam.", "Hi there.", "Good evening.",
    "To whom it may concern.", "I have been a customer for years.", "This is my first message.",
    "I hope you are well.", "I also rang about this.", "I bank with you since I was a student.",
)  # fmt: skip
CLOSERS = (
    "Thank you for reading.", "Please reply by email.", "I look forward to your answer.",
    "Please call me in the afternoon.", "Kind regards.", "My number is on file.",
    "You can reach me at work.", "Please confirm that you got this.", "Best wishes.",
    "I am at home in the evenings.", "A letter is fine too.", "Many thanks.",
)  # fmt: skip
NAME_OPENERS = (
    "My name is {}.", "{} here.", "This is {} writing.", "Hello, I am {}.", "{} again.",
)  # fmt: skip
NAME_CLOSERS = (
    "Regards, {}.", "Yours, {}.", "Thanks, {}.", "Sincerely, {}.", "Signed, {}.",
)  # fmt: skip
RELATION_OPENERS = {
    "female": (
        "My husband and I bank with you.", "I write for my husband too.",
        "My husband told me to write.", "My husband is a customer as well.",
        "I share this with my husband.", "As a mother of two I am busy.",
    ),
    "male": (
        "My wife and I bank with you.", "I write for my wife too.",
        "My wife told me to write.", "My wife is a customer as well.",
        "I share this with my wife.", "As a father of two I am busy.",
    ),
}  # fmt: skip
RELATION_CLOSERS = {
    "female": (
        "My husband can confirm this.", "You may also call my husband.",
        "My husband saw it too.", "My husband and I thank you.",
    ),
    "male": (
        "My wife can confirm this.", "You may also call my wife.",
        "My wife saw it too.", "My wife and I thank you.",
    ),
}  # fmt: skip
FIRST_NAMES = {
    "female": (
        "Margaret", "Susan", "Emily", "Olivia", "Sophie", "Charlotte", "Hannah", "Rebecca",
        "Laura", "Jessica", "Elizabeth", "Catherine", "Patricia", "Linda", "Alice", "Fatima",
        "Aisha", "Priya", "Maria", "Anna", "Julia", "Helen", "Karen", "Nicole",
    ),
    "male": (
        "James", "Robert", "Thomas", "Oliver", "Daniel", "William", "Matthew", "Andrew",
        "Peter", "George", "Richard", "Stephen", "Michael", "Edward", "Henry", "Mohammed",
        "Ahmed", "Rajesh", "Carlos", "Paul", "Martin", "Kevin", "Brian", "Simon",
    ),
}  # fmt: skip
LAST_NAMES = (
    "Smith", "Jones", "Taylor", "Brown", "Wilson", "Evans", "Walker", "Wright", "Green", "Hall",
    "Wood", "Clarke", "Patel", "Khan", "Singh", "Begum", "Murphy", "Kelly", "Campbell", "Stewart",
    "Bennett", "Carter", "Foster", "Gray", "Hughes", "Marshall", "Palmer", "Reid", "Shaw", "Webb",
    "Garcia", "Novak", "Kowalski", "Rossi", "Nguyen", "Chen", "Okafor", "Ali", "Cohen", "Larsen",
)  # fmt: skip
