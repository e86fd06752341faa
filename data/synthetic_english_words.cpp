#include "data/synthetic_english_words.h"

#include "data/synthetic_choices.h"

namespace locus::english {

namespace {

bool ends_with_any(const std::string& word, const std::vector<std::string>& endings) {
    for (const std::string& ending : endings) {
        if (word.size() > ending.size() && word.compare(word.size() - ending.size(), ending.size(), ending) == 0)
            return true;
    }
    return false;
}

bool ends_with_consonant_y(const std::string& word) {
    return word.back() == 'y' && std::string("aeiou").find(word[word.size() - 2]) == std::string::npos;
}

/// The ending of plural nouns and of verbs in the third person.
std::string with_s(const std::string& word) {
    if (ends_with_consonant_y(word)) return word.substr(0, word.size() - 1) + "ies";
    return word + (ends_with_any(word, {"s", "x", "z", "ch", "sh"}) ? "es" : "s");
}

std::string with_ed(const std::string& word) {
    if (ends_with_consonant_y(word)) return word.substr(0, word.size() - 1) + "ied";
    return word + (word.back() == 'e' ? "d" : "ed");
}

/// "basket knife/knives": plurals where they are irregular.
std::vector<Noun> nouns(const char* table) {
    std::vector<Noun> result;
    for (const std::string& entry : split(table)) {
        const std::vector<std::string> forms = split(entry, '/');
        result.push_back({forms[0], forms.size() > 1 ? forms[1] : with_s(forms[0])});
    }
    return result;
}

/// "carry sell/sold write/wrote/written": past and participle where they are irregular.
std::vector<Verb> verbs(const char* table) {
    std::vector<Verb> result;
    for (const std::string& entry : split(table)) {
        const std::vector<std::string> forms = split(entry, '/');
        const std::string past = forms.size() > 1 ? forms[1] : with_ed(forms[0]);
        result.push_back({forms[0], with_s(forms[0]), past, forms.size() > 2 ? forms[2] : past});
    }
    return result;
}

}  // namespace

const std::vector<Topic>& topics() {
    static const std::vector<Topic> table = {
        {nouns("basket lemon apple carpet lantern scarf/scarves ribbon coin melon jar candle mirror purse necklace"),
         nouns("merchant customer baker butcher porter grocer tailor cashier"),
         nouns("market stall shop square arcade warehouse"),
         verbs("sell/sold buy/bought carry weigh wrap/wrapped count display order")},
        {nouns("book pencil map desk notebook essay blackboard ruler globe exam lesson drawing satchel prize"),
         nouns("teacher pupil child/children headmaster student tutor librarian girl boy"),
         nouns("school classroom library playground corridor college"),
         verbs("read/read write/wrote/written borrow explain copy correct study forget/forgot/forgotten")},
        {nouns("boat net anchor rope sail crate compass barrel oar flag lighthouse chart fish/fish hook"),
         nouns("sailor captain fisherman/fishermen diver pilot dockworker smuggler officer"),
         nouns("harbour pier beach island dock cove"),
         verbs("load repair tie mend lower haul inspect hide/hid/hidden")},
        {nouns("pot spoon knife/knives plate loaf/loaves pie kettle oven bowl onion pan cup cake recipe"),
         nouns("cook waiter guest chef dishwasher butler host grandmother"),
         nouns("kitchen pantry restaurant cellar dining-room inn"),
         verbs("cook wash peel serve taste heat burn clean")},
        {nouns("rose tulip hedge shovel seed bench fountain tree weed bucket ladder bush/bushes vase rake"),
         nouns("gardener botanist neighbour florist beekeeper visitor painter farmhand"),
         nouns("garden orchard greenhouse park meadow lawn"),
         verbs("plant water trim/trimmed dig/dug pick grow/grew/grown admire paint")},
        {nouns("train ticket suitcase timetable carriage engine wheel signal bridge track whistle trunk seat parcel"),
         nouns("conductor passenger driver guard mechanic traveller stationmaster inspector"),
         nouns("station platform tunnel depot waiting-room crossing"),
         verbs("stop/stopped board miss repair check lose/lost/lost collect announce")},
        {nouns("bandage bed needle bottle thermometer pill chart blanket pillow scale stretcher lamp report tray"),
         nouns("doctor nurse patient surgeon dentist orderly pharmacist midwife/midwives"),
         nouns("hospital clinic ward pharmacy laboratory surgery"),
         verbs("bring/brought examine fill sterilise label prepare remove test")},
        {nouns("costume curtain violin poster script mask spotlight piano drum prop wig poem trumpet song"),
         nouns("actor singer dancer director musician composer critic usher"),
         nouns("theatre stage balcony opera-house studio cinema"),
         verbs("play rehearse tune borrow design sing/sang/sung perform praise")},
        {nouns("hammer nail saw chair table clock wire drill plank box/boxes screw hinge chisel gear"),
         nouns("carpenter apprentice engineer electrician plumber locksmith welder inventor"),
         nouns("workshop factory garage shed foundry yard"),
         verbs("build/built fix measure cut/cut sharpen polish assemble break/broke/broken")},
        {nouns("cow sheep/sheep horse tractor fence plough egg goose/geese gate cart pig hen saddle pumpkin"),
         nouns("farmer shepherd veterinarian milkmaid blacksmith herder labourer miller"),
         nouns("farm barn field stable village mill"),
         verbs("feed/fed milk lead/led chase guard raise shear/sheared/shorn harvest")},
        {nouns("letter stamp telegram envelope newspaper document folder key drawer contract invoice photograph "
               "typewriter file"),
         nouns("clerk postman/postmen secretary lawyer judge editor reporter accountant"),
         nouns("office post-office courtroom archive bank town-hall"),
         verbs("sign send/sent deliver open print file stamp receive")},
        {nouns("tent backpack torch boulder glacier trail cabin peak stove sledge hut eagle axe snowshoe"),
         nouns("climber guide hiker ranger skier geologist hunter woman/women"),
         nouns("valley mountain pass ridge campsite forest"),
         verbs("pack find/found cross photograph climb discover reach draw/drew/drawn")},
    };
    return table;
}

const Words& words() {
    static const Words table = {
        .adjectives = {split("lovely strange famous useful ugly simple curious splendid plain odd fine remarkable"),
                       split("big small tiny large huge narrow enormous little long short"),
                       split("new old ancient modern antique"),
                       split("red blue green yellow black white grey brown purple orange"),
                       split("wooden silver golden stone iron glass paper leather woollen copper")},
        .character = split(
            "tired patient clever careful proud quiet cheerful nervous lazy brave polite kind friendly strict lonely "
            "gentle"),
        .state = split("heavy broken missing cheap expensive dirty empty ready beautiful useless safe clean"),
        .more = split("heavier older cheaper smaller larger brighter cleaner lighter newer prettier"),
        .women = split("Mara Helen Alice Nora Ruth Clara Ingrid Julia Edith Sofia Laura Anna Emma Rosa Vera Irene Lucy "
                       "Grace Marta "
                       "Eva"),
        .men = split("Tom Peter Oscar Hugo Martin Victor Simon Felix Arthur Daniel Leo Walter George Adam Henry Paul "
                     "Ivan Max Carl "
                     "Owen"),
        .surnames = split(
            "Ellison Barker Novak Keller Lindqvist Moreau Hartley Rossi Tanner Whitby Okafor Brandt Castell Dunmore "
            "Fenwick "
            "Garland Holloway Ibsen Jarvis Kowal Lambert Mercer Norwood Ortega Pembroke Quill Ramsay Sutton Thorne "
            "Underhill"),
        .towns = split(
            "Ashford Millbrook Harwick Stonebridge Eastmere Oakhaven Redcliff Fairholm Winterton Greywater Larkfield "
            "Northam "
            "Brightwell Coldspring Dunmoor Elmstead Foxley Goldport Highgate Kingsmere"),
        .buildings = split("store mall bank hotel museum school bakery cinema library hospital cafe station church "
                           "bridge tower theatre"),
        .building_verbs = split("opened closed stood appeared reopened burned"),
        .near = split("beside behind near opposite above below"),
        .where = split("on under beside behind near"),
        .furniture = split("mat table chair bed shelf bench roof carpet sofa step wall box"),
        .animals = split("cat dog bird mouse fox horse rabbit owl parrot snake"),
        .rested = split("sat slept lay waited stood hid"),
        .days = split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        .often = split("often always never sometimes rarely usually"),
        .quickly = split("slowly quickly carefully quietly suddenly gently proudly happily"),
        .meeting =
            verbs("know/knew/known like thank watch help visit follow trust remember admire meet/met see/saw/seen"),
        .moving = verbs("arrive leave/left stop/stopped return wait disappear move fall/fell/fallen"),
        .saying = split("said thought believed wrote answered whispered insisted explained"),
        .numbers = split(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen "
            "nineteen twenty"),
        .tens = split("twenty thirty forty fifty sixty seventy eighty ninety"),
    };
    return table;
}

std::string number_word(int number) {
    if (number <= 20) return words().numbers[static_cast<std::size_t>(number)];
    const std::string& ten = words().tens[static_cast<std::size_t>(number / 10 - 2)];
    return number % 10 == 0 ? ten : ten + "-" + words().numbers[static_cast<std::size_t>(number % 10)];
}

}  // namespace locus::english
