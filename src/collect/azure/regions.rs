//! Regions by their names in Resource Manager, which nodes bear and price lists are asked by.
//!
//! A bill writes a region as its resource provider did: `eastus2`, `US East 2`, `East US 2`,
//! `USEast2` ("Understand usage details fields", `ResourceLocation`). Names as in the regions of
//! Microsoft's FinOps toolkit, open data.

/// Name in Resource Manager, name on bills, name for people.
#[rustfmt::skip] // A table is read in rows.
const REGIONS: [(&str, &str, &str); 79] = [
    ("australiacentral", "AU Central", "Australia Central"),
    ("australiacentral2", "AU Central 2", "Australia Central 2"),
    ("australiaeast", "AU East", "Australia East"),
    ("australiasoutheast", "AU Southeast", "Australia Southeast"),
    ("austriaeast", "AT East", "Austria East"),
    ("belgiumcentral", "BE Central", "Belgium Central"),
    ("brazilsouth", "BR South", "Brazil South"),
    ("brazilsoutheast", "BR Southeast", "Brazil Southeast"),
    ("canadacentral", "CA Central", "Canada Central"),
    ("canadaeast", "CA East", "Canada East"),
    ("centralindia", "IN Central", "Central India"),
    ("centralus", "US Central", "Central US"),
    ("chilecentral", "CL Central", "Chile Central"),
    ("chinaeast", "CN East", "China East"),
    ("chinaeast2", "CN East 2", "China East 2"),
    ("chinaeast3", "CN East 3", "China East 3"),
    ("chinanorth", "CN North", "China North"),
    ("chinanorth2", "CN North 2", "China North 2"),
    ("chinanorth3", "CN North 3", "China North 3"),
    ("denmarkeast", "DK East", "Denmark East"),
    ("eastasia", "AP East", "East Asia"),
    ("eastus", "US East", "East US"),
    ("eastus2", "US East 2", "East US 2"),
    ("eastus3", "US East 3", "East US 3"),
    ("finlandcentral", "FI Central", "Finland Central"),
    ("francecentral", "FR Central", "France Central"),
    ("francesouth", "FR South", "France South"),
    ("germanynorth", "DE North", "Germany North"),
    ("germanywestcentral", "DE West Central", "Germany West Central"),
    ("greececentral", "GR Central", "Greece Central"),
    ("indiasouthcentral", "IN South Central", "India South Central"),
    ("indonesiacentral", "ID Central", "Indonesia Central"),
    ("israelcentral", "IL Central", "Israel Central"),
    ("italynorth", "IT North", "Italy North"),
    ("japaneast", "JA East", "Japan East"),
    ("japanwest", "JA West", "Japan West"),
    ("jioindiacentral", "IN Central Jio", "Jio India Central"),
    ("jioindiawest", "IN West Jio", "Jio India West"),
    ("koreacentral", "KR Central", "Korea Central"),
    ("koreasouth", "KR South", "Korea South"),
    ("malaysiawest", "MY West", "Malaysia West"),
    ("mexicocentral", "MX Central", "Mexico Central"),
    ("newzealandnorth", "NZ North", "New Zealand North"),
    ("northcentralus", "US North Central", "North Central US"),
    ("northeurope", "EU North", "North Europe"),
    ("norwayeast", "NO East", "Norway East"),
    ("norwaywest", "NO West", "Norway West"),
    ("polandcentral", "PL Central", "Poland Central"),
    ("qatarcentral", "QA Central", "Qatar Central"),
    ("saudiarabiaeast", "SA East", "Saudi Arabia East"),
    ("southafricanorth", "ZA North", "South Africa North"),
    ("southafricawest", "ZA West", "South Africa West"),
    ("southcentralus", "US South Central", "South Central US"),
    ("southcentralus2", "US South Central 2", "South Central US 2"),
    ("southeastasia", "AP Southeast", "Southeast Asia"),
    ("southeastus", "US Southeast", "Southeast US"),
    ("southindia", "IN South", "South India"),
    ("spaincentral", "ES Central", "Spain Central"),
    ("swedencentral", "SE Central", "Sweden Central"),
    ("swedensouth", "SE South", "Sweden South"),
    ("switzerlandnorth", "CH North", "Switzerland North"),
    ("switzerlandwest", "CH West", "Switzerland West"),
    ("taiwannorth", "TW North", "Taiwan North"),
    ("uaecentral", "AE Central", "UAE Central"),
    ("uaenorth", "AE North", "UAE North"),
    ("uknorth", "UK North", "UK North"),
    ("uksouth", "UK South", "UK South"),
    ("ukwest", "UK West", "UK West"),
    ("usdodcentral", "US DoD Central", "USDoD Central"),
    ("usdodeast", "US DoD East", "USDoD East"),
    ("usgovarizona", "US Gov AZ", "USGov Arizona"),
    ("usgovtexas", "US Gov TX", "USGov Texas"),
    ("usgovvirginia", "US Gov Virginia", "USGov Virginia"),
    ("westcentralus", "US West Central", "West Central US"),
    ("westeurope", "EU West", "West Europe"),
    ("westindia", "IN West", "West India"),
    ("westus", "US West", "West US"),
    ("westus2", "US West 2", "West US 2"),
    ("westus3", "US West 3", "West US 3"),
];

/// The name in Resource Manager of a region that is written in any way; a text that is no known
/// region stays as it is.
pub(super) fn region_id(told: &str) -> &str {
    names(told).map_or(told, |(id, ..)| *id)
}

/// Every way in which a bill may write a region, for a filter on it.
pub(super) fn spellings(told: &str) -> Vec<String> {
    let Some((id, billed, shown)) = names(told) else { return vec![told.to_owned()] };
    let joined = billed.replace(' ', "");
    [*id, *billed, *shown, joined.as_str()].map(str::to_owned).to_vec()
}

fn names(told: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    REGIONS.iter().find(|(id, billed, shown)| {
        told == *id || is_same(told, id) || is_same(told, billed) || is_same(told, shown)
    })
}

/// Whether two names have the same letters and digits, whatever their case.
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let kept: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
        kept.to_ascii_lowercase()
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_one_however_the_bill_writes_it() {
        for (told, wanted) in [
            ("eastus", "eastus"),
            ("EastUS", "eastus"),
            ("US East", "eastus"),
            ("us east", "eastus"),
            ("USEast2", "eastus2"),
            ("US East 2", "eastus2"),
            ("East US 2", "eastus2"),
            ("US South Central", "southcentralus"),
            ("US West Central", "westcentralus"),
            ("EU West", "westeurope"),
            ("AP Southeast", "southeastasia"),
            ("IN South", "southindia"),
            ("JA East", "japaneast"),
            ("DE West Central", "germanywestcentral"),
            ("CH North", "switzerlandnorth"),
            ("AE North", "uaenorth"),
            ("ZA North", "southafricanorth"),
            ("NO East", "norwayeast"),
            ("UK South", "uksouth"),
            ("", ""),
            ("Unassigned", "Unassigned"),
            ("global", "global"),
            ("US East 9", "US East 9"),
        ] {
            assert_eq!(region_id(told), wanted, "{told}");
        }
    }

    #[test]
    fn no_name_is_of_two_regions_and_every_spelling_leads_back() {
        for (place, (id, billed, shown)) in REGIONS.iter().enumerate() {
            for name in [id, billed, shown] {
                assert_eq!(region_id(name), *id, "{name}");
                assert!(spellings(name).contains(&(*billed).to_owned()), "{name}");
            }
            assert!(spellings(id).iter().all(|name| region_id(name) == *id), "{id}");
            assert!(place == 0 || REGIONS[place - 1].0 < *id, "{id} stands in order");
        }
        assert_eq!(spellings("mars"), ["mars"]);
    }
}
